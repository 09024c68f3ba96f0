/* Driver of the accelerator: see accel.h. */
#include "accel.h"

#define STATUS_BUSY 1u
#define STATUS_DONE 2u
#define STATUS_UNQUIET 8u

static uint32_t get(const struct accel *accel, uint32_t offset)
{
    return accel->hal->read(accel->hal->context, offset);
}

static void set(const struct accel *accel, uint32_t offset, uint32_t value)
{
    accel->hal->write(accel->hal->context, offset, value);
}

static int give_up(const struct accel *accel)
{
    return accel->hal->pause ? accel->hal->pause(accel->hal->context) : 0;
}

/* A cache hook for all tensors of a kind, of all images. */
static void each(const struct accel *accel, void (*hook)(void *, uint64_t, uint32_t), int of_outputs)
{
    const struct accel_network *network = accel->network;
    const struct accel_tensor *tensors = of_outputs ? network->outputs : network->inputs;
    const uint32_t count = of_outputs ? network->outputs_count : network->inputs_count;
    const uint32_t step = of_outputs ? accel->output_step : accel->input_step;
    uint64_t at = accel->base + (of_outputs ? accel->output_move : accel->input_move);
    uint32_t image, k;
    for (image = 0; hook && image < accel->images; image++, at += step)
        for (k = 0; k < count; k++)
            hook(accel->hal->context, at + tensors[k].offset, tensors[k].bytes);
}

/* Behind the last byte of the last image, from the base on. */
static uint64_t end_of(uint32_t end, uint32_t move, uint32_t step, uint32_t images)
{
    return (uint64_t)end + move + (uint64_t)step * (images - 1);
}

int accel_init(struct accel *accel, const struct accel_hal *hal, const struct accel_network *network, uint64_t base)
{
    accel->hal = hal;
    accel->network = network;
    accel->base = base;
    accel->input_move = accel->output_move = accel->input_step = accel->output_step = 0;
    accel->images = 1;
    accel->running = 0;
    accel->result = ACCEL_IDLE;
    if (get(accel, ACCEL_VERSION) != network->version)
        return ACCEL_WRONG_VERSION;
    if (get(accel, ACCEL_ARRAY) != network->array)
        return ACCEL_WRONG_ARRAY;
    if ((base & 0xFFFu) || (network->address_bits < 64 && base >> 32))
        return ACCEL_WRONG_ADDRESS;
    if (hal->clean)
        hal->clean(hal->context, base, network->image_bytes);
    return ACCEL_OK;
}

/* By how much a tensor at an address is moved, in `*move`. */
static int moved(const struct accel *accel, const struct accel_tensor *tensor, uint32_t end, uint64_t address,
                 uint32_t *move)
{
    const uint64_t place = accel->base + tensor->offset, by = address - place;
    if (address != 0 && (address < place || by >> 32 || (by & 0xFFFu) || end == 0))
        return ACCEL_WRONG_ADDRESS;
    *move = address ? (uint32_t)by : 0u;
    return ACCEL_OK;
}

int accel_place(struct accel *accel, uint64_t input, uint64_t output)
{
    const struct accel_network *network = accel->network;
    uint32_t inputs, outputs;
    if (moved(accel, &network->inputs[0], network->input_end, input, &inputs) ||
        moved(accel, &network->outputs[0], network->output_end, output, &outputs))
        return ACCEL_WRONG_ADDRESS;
    accel->input_move = inputs;
    accel->output_move = outputs;
    return ACCEL_OK;
}

int accel_images(struct accel *accel, uint32_t images, uint32_t input_step, uint32_t output_step)
{
    const struct accel_network *network = accel->network;
    if (images == 0 || images > 0xFFFFu)
        return ACCEL_WRONG_ADDRESS;
    if (images > 1 && (network->input_end == 0 || ((input_step | output_step) & 0xFF000FFFu) ||
                       input_step < network->input_end - network->input_first ||
                       output_step < network->output_end - network->output_first))
        return ACCEL_WRONG_ADDRESS;
    accel->images = images;
    accel->input_step = images > 1 ? input_step : 0u;
    accel->output_step = images > 1 ? output_step : 0u;
    return ACCEL_OK;
}

uint32_t accel_images_done(const struct accel *accel)
{
    return get(accel, ACCEL_IMAGES_DONE);
}

int accel_start(struct accel *accel)
{
    const struct accel_network *network = accel->network;
    const uint32_t status = get(accel, ACCEL_STATUS);
    uint64_t size = network->dram_bytes, end;
    if (status & STATUS_BUSY)
        return ACCEL_BUSY;
    if (status & STATUS_UNQUIET)
        return ACCEL_DRAINING;
    end = end_of(network->input_end, accel->input_move, accel->input_step, accel->images);
    size = size < end ? end : size;
    end = end_of(network->output_end, accel->output_move, accel->output_step, accel->images);
    size = size < end ? end : size;
    if (size >> 32)
        return ACCEL_WRONG_ADDRESS;
    each(accel, accel->hal->clean, 0);
    /* Lines of the outputs that the processor has written would be evicted over what the accelerator writes. */
    each(accel, accel->hal->clean, 1);
    set(accel, ACCEL_STATUS, STATUS_DONE);
    set(accel, ACCEL_DRAM_BASE, (uint32_t)accel->base);
    if (network->address_bits > 32)
        set(accel, ACCEL_DRAM_BASE_HIGH, (uint32_t)(accel->base >> 32));
    set(accel, ACCEL_DRAM_SIZE, (uint32_t)size);
    set(accel, ACCEL_PROGRAM_OFFSET, network->program_offset);
    set(accel, ACCEL_PROGRAM_COUNT, network->program_count);
    set(accel, ACCEL_NEXT_OFFSET, network->next_offset);
    set(accel, ACCEL_NEXT_COUNT, network->next_count);
    set(accel, ACCEL_INPUT_MOVE, accel->input_move);
    set(accel, ACCEL_OUTPUT_MOVE, accel->output_move);
    set(accel, ACCEL_INPUT_STEP, accel->input_step);
    set(accel, ACCEL_OUTPUT_STEP, accel->output_step);
    set(accel, ACCEL_IMAGES, accel->images);
    accel->running = 1;
    set(accel, ACCEL_CONTROL, 1u);
    return ACCEL_OK;
}

int accel_poll(struct accel *accel)
{
    uint32_t status;
    if (!accel->running)
        return accel->result;
    status = get(accel, ACCEL_STATUS);
    if (status & STATUS_BUSY)
        return ACCEL_BUSY;
    if (!accel->running) /* the interrupt came in between */
        return accel->result;
    if (status & STATUS_DONE) {
        accel->result = (int)get(accel, ACCEL_ERROR);
        each(accel, accel->hal->invalidate, 1);
        set(accel, ACCEL_STATUS, STATUS_DONE);
    } else {
        accel->result = ACCEL_IDLE;
    }
    accel->running = 0;
    return accel->result;
}

int accel_wait(struct accel *accel, uint32_t polls)
{
    int result = accel_poll(accel);
    for (; result == ACCEL_BUSY; result = accel_poll(accel)) {
        if (polls == 0 || give_up(accel))
            return ACCEL_WAITING;
        if (polls != ACCEL_FOR_EVER)
            polls--;
    }
    return result;
}

int accel_run(struct accel *accel, uint32_t polls)
{
    const int refused = accel_start(accel);
    return refused ? refused : accel_wait(accel, polls);
}

int accel_drain(struct accel *accel, uint32_t polls)
{
    for (;;) {
        const uint32_t status = get(accel, ACCEL_STATUS);
        if (status & STATUS_BUSY)
            return ACCEL_BUSY;
        if (!(status & STATUS_UNQUIET))
            return ACCEL_OK;
        if (polls == 0 || give_up(accel))
            return ACCEL_DRAINING;
        if (polls != ACCEL_FOR_EVER)
            polls--;
    }
}

int accel_stop(struct accel *accel, uint32_t polls)
{
    set(accel, ACCEL_CONTROL, 2u); /* without a run it does nothing */
    if (accel_wait(accel, polls) == ACCEL_WAITING)
        return ACCEL_WAITING;
    return accel_drain(accel, polls);
}

void accel_interrupt(struct accel *accel, int on)
{
    set(accel, ACCEL_IRQ_ENABLE, on ? 1u : 0u);
}

void accel_watchdog(struct accel *accel, uint32_t cycles)
{
    set(accel, ACCEL_WATCHDOG, cycles);
}

uint32_t accel_counter(const struct accel *accel, uint32_t number)
{
    return get(accel, ACCEL_COUNTER_BASE + 4u * number);
}

const char *accel_text(int result)
{
    static const char *const of_hardware[] = ACCEL_ERROR_TEXTS;
    static const char *const of_driver[] = {
        "a run is under way",
        "bursts of a run that was stopped are in flight",
        "the run goes on, and the polls are used up",
        "no run: nothing was started, or the hardware was reset",
        "the hardware is of another version than the network was compiled for",
        "the hardware is of another design than the network was compiled for",
        "an address or a step that is not aligned, or beyond what the hardware can reach",
    };
    if (result >= 0 && result < (int)(sizeof of_hardware / sizeof *of_hardware))
        return of_hardware[result];
    if (result < 0 && result >= -(int)(sizeof of_driver / sizeof *of_driver))
        return of_driver[-1 - result];
    return "no such result";
}

/* Where a code lies in its tensor. */
static uint32_t place(const struct accel_tensor *tensor, uint32_t c, uint32_t y, uint32_t x)
{
    if (tensor->layout == ACCEL_ROWS)
        return (y + tensor->pad_top) * tensor->row_pitch + (x + tensor->pad_left) * tensor->channels + c;
    return (c / tensor->lanes * tensor->plane + y * tensor->row_pitch + x) * tensor->stride + c % tensor->lanes;
}

/* A signed byte as it lies in memory, and back, without a conversion that C leaves to the compiler. */
static uint8_t to_byte(int8_t code)
{
    return (uint8_t)code;
}

static int8_t to_code(uint8_t byte)
{
    return (int8_t)(byte < 128 ? byte : byte - 256);
}

static void fill(const struct accel_tensor *tensor, uint8_t *bytes)
{
    const uint32_t pixels = tensor->width + tensor->pad_left + tensor->pad_right;
    const uint32_t used = tensor->layout == ACCEL_ROWS ? pixels * tensor->channels : 0;
    uint32_t at, in_row = 0;
    for (at = 0; at < tensor->bytes; at++) {
        bytes[at] = in_row < used ? to_byte(tensor->pad_value) : 0;
        in_row = in_row + 1 == tensor->row_pitch ? 0 : in_row + 1;
    }
}

void accel_pack(const struct accel_tensor *tensor, const int8_t *codes, uint8_t *bytes)
{
    uint32_t c, y, x;
    fill(tensor, bytes);
    for (c = 0; c < tensor->channels; c++)
        for (y = 0; y < tensor->height; y++)
            for (x = 0; x < tensor->width; x++)
                bytes[place(tensor, c, y, x)] = to_byte(*codes++);
}

void accel_unpack(const struct accel_tensor *tensor, const uint8_t *bytes, int8_t *codes)
{
    uint32_t c, y, x;
    for (c = 0; c < tensor->channels; c++)
        for (y = 0; y < tensor->height; y++)
            for (x = 0; x < tensor->width; x++)
                *codes++ = to_code(bytes[place(tensor, c, y, x)]);
}

int8_t accel_quantise(const struct accel_tensor *tensor, float value)
{
    const float steps = value / tensor->scale;
    int32_t whole;
    float rest;
    if (!(steps > -512.0f)) /* nor a number: the lowest code */
        return -128;
    if (steps > 512.0f)
        return 127;
    whole = (int32_t)steps; /* towards 0 */
    rest = steps - (float)whole;
    if (rest > 0.5f || (rest == 0.5f && whole % 2 != 0))
        whole++;
    else if (rest < -0.5f || (rest == -0.5f && whole % 2 != 0))
        whole--;
    whole += tensor->zero_point;
    return (int8_t)(whole < -128 ? -128 : whole > 127 ? 127 : whole);
}

float accel_dequantise(const struct accel_tensor *tensor, int8_t code)
{
    return tensor->scale * (float)(code - tensor->zero_point);
}
