// The driver of `accel emit` on the emitted Verilog: accel.c through a HAL of this machine, behind a cache.
//
//   bench CASE OUT [CASE OUT ...]
//
// CASE: the fields of Case and of Plan, 8 bytes each, little-endian, then the image, then the codes of all inputs. OUT: what
// the driver's functions returned (Outcome), then the codes of all outputs. tests/benches/driver.py writes and reads these
// files. The processor sees memory through a cache that writes back nothing and reads nothing again by itself: what is
// neither cleaned nor invalidated is missing.
#include "machine.h"

extern "C" {
#include "accel.h"
extern const struct accel_network* const the_network;
}

struct Plan {
    uint64_t polls, poll_cycles, interrupt, stop_polls, drain_polls, restart, dram_bytes, version, array, base_offset,
        images, input_move, input_step, output_move, output_step, image_bytes, input_codes;
};
struct Outcome {
    uint64_t init, start, again, wait, stop, refused, drain, second, last, placed, cycles, irq, read_beats, images;
};
static const uint64_t UNUSED = 99;

struct Board {
    Machine machine;
    Case now;
    Plan plan;
    std::vector<uint8_t> memory, cache;
    struct accel accel;
    struct accel_network network;

    uint64_t place(uint64_t address, uint32_t bytes) const {
        const uint64_t at = address - now.dram_base;
        if (address < now.dram_base || at + bytes > memory.size()) fail("a cache hook leaves the memory");
        return at;
    }
};

static uint32_t hal_read(void* context, uint32_t offset) { return static_cast<Board*>(context)->machine.read(offset); }

static void hal_write(void* context, uint32_t offset, uint32_t value) {
    Machine& machine = static_cast<Board*>(context)->machine;
    machine.write(offset, value);
    if (offset == ACCEL_CONTROL && value == 1) machine.started = machine.cycle - 1;
}

static void hal_clean(void* context, uint64_t address, uint32_t bytes) {
    Board& board = *static_cast<Board*>(context);
    const uint64_t at = board.place(address, bytes);
    memcpy(&board.memory[at], &board.cache[at], bytes);
}

static void hal_invalidate(void* context, uint64_t address, uint32_t bytes) {
    Board& board = *static_cast<Board*>(context);
    const uint64_t at = board.place(address, bytes);
    memcpy(&board.cache[at], &board.memory[at], bytes);
}

static int hal_pause(void* context) {
    Board& board = *static_cast<Board*>(context);
    Machine& machine = board.machine;
    for (uint64_t k = 0; k < board.plan.poll_cycles; k++) {
        machine.step();
        if (machine.cycle > board.now.max_cycles) fail("a run takes longer than all cycles that there are");
        if (machine.irq) {
            if (!board.plan.interrupt) fail("an interrupt that nobody asked for");
            accel_poll(&board.accel);  // the handler
            machine.step();
            machine.step();
            if (machine.irq) fail("the handler does not clear the interrupt");
        }
    }
    return 0;
}

static uint64_t begin(Board& board) {
    static struct accel_hal hal;
    hal = {&board, hal_read, hal_write, hal_clean, hal_invalidate, hal_pause};
    const int result = accel_init(&board.accel, &hal, &board.network, board.now.dram_base + board.plan.base_offset);
    accel_watchdog(&board.accel, board.now.watchdog);
    accel_interrupt(&board.accel, board.plan.interrupt);
    return result;
}

static void run(Board& board, const char* case_path, const char* out_path) {
    const std::vector<uint8_t> bytes = content(case_path);
    memcpy(&board.now, bytes.data(), sizeof board.now);
    memcpy(&board.plan, bytes.data() + sizeof board.now, sizeof board.plan);
    const Case& now = board.now;
    const Plan& plan = board.plan;
    const uint8_t* given = bytes.data() + sizeof now + sizeof plan;
    board.memory.assign(now.memory_bytes, 0xA5);
    board.cache.assign(now.memory_bytes, 0x5A);
    memcpy(board.cache.data(), given, plan.image_bytes);
    board.network = *the_network;
    if (plan.dram_bytes) board.network.dram_bytes = plan.dram_bytes;
    board.network.version ^= plan.version;
    board.network.array ^= plan.array;
    board.machine.begin(now, board.memory.data());
    const uint64_t first = board.machine.cycle;
    board.now.max_cycles += first;

    const struct accel_network& network = board.network;
    Outcome out = {UNUSED, UNUSED, UNUSED, UNUSED, UNUSED, UNUSED, UNUSED, UNUSED, UNUSED, UNUSED, 0, 0, 0, 0};
    out.init = begin(board);
    const int8_t* codes = reinterpret_cast<const int8_t*>(given + plan.image_bytes);
    if (plan.images > 1 || plan.input_move || plan.output_move) {
        const uint64_t input = plan.input_move ? now.dram_base + network.inputs[0].offset + plan.input_move : 0;
        const uint64_t output = plan.output_move ? now.dram_base + network.outputs[0].offset + plan.output_move : 0;
        out.placed = accel_place(&board.accel, input, output);
        if (out.placed == 0) out.placed = accel_images(&board.accel, plan.images, plan.input_step, plan.output_step);
        if (out.placed) out.init = out.placed;
    }
    for (uint64_t image = 0; out.init == 0 && image < plan.images; image++)
        for (uint32_t k = 0; k < network.inputs_count; k++) {
            const struct accel_tensor& tensor = network.inputs[k];
            accel_pack(&tensor, codes, &board.cache[tensor.offset + plan.input_move + image * plan.input_step]);
            codes += tensor.channels * tensor.height * tensor.width;
        }
    if (out.init == 0) {
        out.start = accel_start(&board.accel);
        out.again = accel_start(&board.accel);
        out.wait = accel_wait(&board.accel, plan.polls);
        if (int(out.wait) == ACCEL_WAITING) out.stop = accel_stop(&board.accel, plan.stop_polls);
        if (board.machine.busy_bus()) out.refused = accel_start(&board.accel);
        out.drain = accel_drain(&board.accel, plan.drain_polls);
        if (plan.restart) {
            board.now.freeze_cycles = 0;
            board.machine.restart();
            board.machine.begin(board.now, board.memory.data());
            out.last = accel_poll(&board.accel);
            begin(board);
            out.second = accel_run(&board.accel, ACCEL_FOR_EVER);
        } else {
            out.last = accel_poll(&board.accel);
        }
        out.cycles = accel_counter(&board.accel, 0);
        out.irq = board.machine.irq;
        out.images = accel_images_done(&board.accel);
    }
    out.read_beats = board.machine.read_beats;
    FILE* file = fopen(out_path, "wb");
    if (!file) fail("an outcome cannot be written");
    fwrite(&out, sizeof out, 1, file);
    for (uint64_t image = 0; out.init == 0 && image < plan.images; image++)
        for (uint32_t k = 0; k < network.outputs_count; k++) {
            const struct accel_tensor& tensor = network.outputs[k];
            std::vector<int8_t> found(tensor.channels * tensor.height * tensor.width);
            accel_unpack(&tensor, &board.cache[tensor.offset + plan.output_move + image * plan.output_step], found.data());
            fwrite(found.data(), 1, found.size(), file);
        }
    fclose(file);
}

int main(int argc, char** argv) {
    Verilated::randReset(2);
    static Board board;
    board.machine.reset();
    for (int k = 1; k + 1 < argc; k += 2) run(board, argv[k], argv[k + 1]);
    board.machine.top.final();
    return 0;
}
