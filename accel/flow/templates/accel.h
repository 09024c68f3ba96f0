/* Driver of the accelerator: C99, freestanding, no allocation. accel_network.h says what network it runs, `struct
 * accel_hal` how the board reaches its registers; README.md has an example.
 *
 * A run is started by accel_start and goes on by itself. Its end is seen by accel_poll, or accel_wait, which polls; or by
 * the interrupt (accel_interrupt), whose handler calls accel_poll, while accel_wait sleeps in `pause`.
 *
 * Reset and drain. A run that works for too long is ended by accel_stop. After an error the memory may still owe answers
 * (ACCEL_DRAINING): a start is refused until they have come, and accel_drain waits for them. If they never come, reset
 * accelerator, interconnect and memory controller together, and call accel_init again; a reset of the accelerator alone
 * would leave it with answers to bursts that it has forgotten. */
#ifndef ACCEL_H
#define ACCEL_H

#include <stdint.h>

#include "accel_registers.h"

/* What functions return: 0, a code of the hardware (ACCEL_ERROR_...), or one of these. accel_text has words for all. */
#define ACCEL_OK 0
#define ACCEL_BUSY (-1)          /* a run is under way */
#define ACCEL_DRAINING (-2)      /* no run, but bursts of one that was stopped are in flight */
#define ACCEL_WAITING (-3)       /* the polls are used up, or `pause` gave up; the run goes on */
#define ACCEL_IDLE (-4)          /* no run: nothing was started, or the hardware was reset since */
#define ACCEL_WRONG_VERSION (-5) /* the hardware is of another version than the network was compiled for */
#define ACCEL_WRONG_ARRAY (-6)   /* the hardware is of another design */
#define ACCEL_WRONG_ADDRESS (-7) /* an address or a step that is not aligned, or beyond what the hardware can reach */
#define ACCEL_FOR_EVER 0xFFFFFFFFu /* polls */

/* How a tensor lies in memory, from `offset` on. Channel c of pixel (y, x) of `words` is byte c % lanes of word
 * (c / lanes) * plane + y * row_pitch + x, and words are `stride` bytes apart. `rows` are `row_pitch` bytes apart, with
 * pads of `pad_value` around, channels side by side. A code q stands for scale * (q - zero_point). */
enum accel_layout { ACCEL_WORDS, ACCEL_ROWS };
struct accel_tensor {
    enum accel_layout layout;
    uint32_t offset, bytes; /* from the image's beginning; from the tensor's first byte to its last */
    uint32_t channels, height, width;
    uint32_t row_pitch;
    uint32_t lanes, stride, plane;               /* words */
    uint32_t pad_top, pad_left, pad_bottom, pad_right; /* rows, in pixels */
    int8_t pad_value;
    int8_t zero_point;
    float scale;
};

/* A network on a design. */
struct accel_network {
    const char *name, *design;
    uint32_t version, array;       /* what the hardware's registers must say */
    uint32_t address_bits;         /* of the AXI bus */
    uint32_t image_bytes;          /* of image.bin: program, weights, first input */
    uint32_t dram_bytes;           /* that a run may touch, from the image's beginning */
    uint32_t program_offset, program_count;
    uint32_t next_offset, next_count; /* the program of each image of a run but the first */
    uint32_t input_first, input_end;  /* bytes of the image from the first input to behind the last; 0: they do not move */
    uint32_t output_first, output_end;
    uint32_t inputs_count, outputs_count;
    const struct accel_tensor *inputs, *outputs;
};

/* What the board gives: access to a register at a byte offset of the AXI4-Lite port. The others may be null. */
struct accel_hal {
    void *context; /* handed to each function */
    uint32_t (*read)(void *context, uint32_t offset);
    void (*write)(void *context, uint32_t offset, uint32_t value);
    /* Writes what the processor's cache has of a range back to memory; drains its write buffers. */
    void (*clean)(void *context, uint64_t address, uint32_t bytes);
    /* Drops what the cache has of a range, so that what the accelerator wrote is read. */
    void (*invalidate)(void *context, uint64_t address, uint32_t bytes);
    /* Between two polls: waits a while, or for the interrupt. Not 0: accel_wait gives up. */
    int (*pause)(void *context);
};

/* The state of a driver, in memory of its caller; only the functions below change it. */
struct accel {
    const struct accel_hal *hal;
    const struct accel_network *network;
    uint64_t base;
    uint32_t input_move, output_move, input_step, output_step, images;
    volatile int running; /* a run was started, and nobody has seen its end */
    volatile int result;
};

/* Take over hardware that is reset or at rest. `base`: the address, as the accelerator sees it, at which the contents
 * of image.bin lie. Returns 0, or what is wrong with hardware or address. */
int accel_init(struct accel *, const struct accel_hal *, const struct accel_network *, uint64_t base);

/* Where the inputs and outputs of runs from now on lie: the address, as the accelerator sees it, of the first input and
 * of the first output; the others are as far from it as in the image. 0: at its own place, base + offset. An address must
 * be behind that place by a multiple of 4096 bytes, less than 4 GiB. Returns 0 or ACCEL_WRONG_ADDRESS. */
int accel_place(struct accel *, uint64_t input, uint64_t output);

/* Runs from now on work on so many images (1 to 65535), whose inputs lie `input_step` bytes apart and outputs
 * `output_step` bytes: multiples of 4096, at least ACCEL_INPUT_LEAST_STEP and ACCEL_OUTPUT_LEAST_STEP. Without accel_place
 * the second image would lie over what follows the first. Returns 0 or ACCEL_WRONG_ADDRESS. */
int accel_images(struct accel *, uint32_t images, uint32_t input_step, uint32_t output_step);

/* Images of the last run, or so far of the one under way, whose outputs are complete. */
uint32_t accel_images_done(const struct accel *);

/* Start a run. Returns 0, ACCEL_BUSY, ACCEL_DRAINING, or ACCEL_WRONG_ADDRESS for images that reach behind 4 GiB. */
int accel_start(struct accel *);

/* Whether the run has ended: ACCEL_BUSY, or its result, 0 or ACCEL_ERROR_..., as often as it is asked. The handler of
 * the interrupt calls it as well: it clears `done`, so that the interrupt falls. */
int accel_poll(struct accel *);

/* Poll until the run has ended, `polls` times at most. Returns its result, or ACCEL_WAITING. */
int accel_wait(struct accel *, uint32_t polls);

/* accel_start, then accel_wait. */
int accel_run(struct accel *, uint32_t polls);

/* End the run that is under way, if there is one, and wait until the bus is quiet. Returns 0, or what it still waits
 * for after `polls` polls of each: ACCEL_WAITING or ACCEL_DRAINING. */
int accel_stop(struct accel *, uint32_t polls);

/* Wait until a start is possible: 0, ACCEL_BUSY if a run is under way, ACCEL_DRAINING after `polls` polls. */
int accel_drain(struct accel *, uint32_t polls);

/* Whether the end of a run raises the interrupt. */
void accel_interrupt(struct accel *, int on);

/* Cycles without any progress after which a run ends with ACCEL_ERROR_TIMEOUT; 0: never. From the next start on. */
void accel_watchdog(struct accel *, uint32_t cycles);

/* A performance counter of the last run, 0 .. ACCEL_COUNTERS - 1 in the order of accel_registers.h; one that is full
 * (2^32 - 1) may have been passed. */
uint32_t accel_counter(const struct accel *, uint32_t number);

/* A line of English for what a function returned. */
const char *accel_text(int result);

/* Codes (channels, height, width) to the bytes of a tensor, all of them, and back. */
void accel_pack(const struct accel_tensor *, const int8_t *codes, uint8_t *bytes);
void accel_unpack(const struct accel_tensor *, const uint8_t *bytes, int8_t *codes);

/* The nearest code of a real number (of two the even one, before the zero point is added), saturated; what it means. */
int8_t accel_quantise(const struct accel_tensor *, float value);
float accel_dequantise(const struct accel_tensor *, int8_t code);

#endif
