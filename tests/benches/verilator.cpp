// Runs the emitted Verilog against an AXI memory of stated latency and bandwidth, with no interpreter in the loop.
//
//   bench CASE OUT [CASE OUT ...]
//
// CASE: the fields of Case, 8 bytes each, little-endian, then `memory_bytes` bytes of DRAM. OUT: the fields of Outcome,
// the counters, then the DRAM after the run. All cases run one after the other on the same hardware, which is reset once
// only: each run must find the machine as the first one did. tests/benches/verilator.py writes and reads these files.
// In cycle `disturb_cycle` all registers that a run has latched are written.
#include <algorithm>

#include "machine.h"

struct Outcome {
    uint64_t done, cycles, error, status, read_beats, write_beats, run_cycles, row_activations, images;
};

// A driver that writes to the registers of a run that is under way.
static void disturb(Machine& machine) {
    for (uint32_t value : {0xFFFFF000u, 0u})
        for (uint32_t at : {ACCEL_DRAM_BASE, ACCEL_DRAM_BASE_HIGH, ACCEL_DRAM_SIZE, ACCEL_PROGRAM_OFFSET, ACCEL_PROGRAM_COUNT,
                            ACCEL_INPUT_MOVE, ACCEL_OUTPUT_MOVE, ACCEL_INPUT_STEP, ACCEL_OUTPUT_STEP, ACCEL_NEXT_OFFSET, ACCEL_NEXT_COUNT, ACCEL_IMAGES})
            machine.write(at, value);
    machine.write(ACCEL_WATCHDOG, 1);
}

// Done, and bursts in flight: STATUS must say so and refuse a start, until the memory has answered all of them.
static void recover(Machine& machine, uint32_t status, uint64_t limit) {
    if (!(status & 8)) fail("done with bursts in flight, and STATUS does not say so");
    machine.write(ACCEL_CONTROL, 1);
    if (machine.busy_bus() && machine.read(ACCEL_STATUS) & 1) fail("a start on a bus that is not quiet");
    while (machine.busy_bus()) {
        machine.step();
        if (machine.cycle > limit) fail("the bus does not get quiet");
    }
    machine.step();
    if (machine.read(ACCEL_STATUS) & 8) fail("the bus is quiet, and STATUS says that it is not");
}

static void run(Machine& machine, const char* case_path, const char* out_path) {
    std::vector<uint8_t> bytes = content(case_path);
    Case now;
    memcpy(&now, bytes.data(), sizeof now);
    if (bytes.size() != sizeof now + now.memory_bytes) fail("a case has another length than it says");
    uint8_t* memory = bytes.data() + sizeof now;
    machine.begin(now, memory);
    machine.write(ACCEL_IRQ_ENABLE, 1);
    machine.write(ACCEL_DRAM_BASE, now.dram_base);
    machine.write(ACCEL_DRAM_BASE_HIGH, now.dram_base >> 32);
    machine.write(ACCEL_DRAM_SIZE, now.dram_size);
    machine.write(ACCEL_PROGRAM_OFFSET, now.program_offset);
    machine.write(ACCEL_PROGRAM_COUNT, now.program_count);
    machine.write(ACCEL_NEXT_OFFSET, now.next_offset);
    machine.write(ACCEL_NEXT_COUNT, now.next_count);
    machine.write(ACCEL_IMAGES, now.images);
    machine.write(ACCEL_INPUT_MOVE, now.input_move);
    machine.write(ACCEL_OUTPUT_MOVE, now.output_move);
    machine.write(ACCEL_INPUT_STEP, now.input_step);
    machine.write(ACCEL_OUTPUT_STEP, now.output_step);
    machine.write(ACCEL_WATCHDOG, now.watchdog);
    machine.write(ACCEL_CONTROL, 1);
    uint64_t start = machine.started = machine.cycle - 1;  // the cycle of the handshake is cycle 0 of the run
    Outcome outcome{};
    do {
        if (machine.cycle - start == now.disturb_cycle) disturb(machine);
        machine.step();
    } while (!machine.irq && machine.cycle - start < std::min(now.max_cycles, now.abort_cycle));
    if (!machine.irq && now.abort_cycle < now.max_cycles) machine.write(ACCEL_CONTROL, 2);
    while (!machine.irq && machine.cycle - start < now.max_cycles) machine.step();
    // irq is seen one cycle after done
    outcome.done = machine.irq;
    outcome.cycles = machine.cycle - 1 - start - 1;
    outcome.error = machine.read(ACCEL_ERROR);
    outcome.status = machine.read(ACCEL_STATUS);
    outcome.images = machine.read(ACCEL_IMAGES_DONE);
    if (machine.irq && machine.busy_bus()) recover(machine, outcome.status, start + now.max_cycles);
    uint64_t counters[ACCEL_COUNTERS];
    for (uint32_t k = 0; k < ACCEL_COUNTERS; k++)
        counters[k] = machine.counter(k);
    machine.write(ACCEL_STATUS, 2);
    outcome.read_beats = machine.read_beats;
    outcome.write_beats = machine.write_beats;
    outcome.row_activations = machine.row_activations;
    outcome.run_cycles = machine.cycle - start;
    FILE* file = fopen(out_path, "wb");
    if (!file) fail("an outcome cannot be written");
    fwrite(&outcome, sizeof outcome, 1, file);
    fwrite(counters, sizeof counters, 1, file);
    fwrite(memory, 1, now.memory_bytes, file);
    fclose(file);
}

int main(int argc, char** argv) {
    Verilated::randReset(2);  // what has no initial value (the memories) starts with random bits
    Machine machine;
    machine.reset();
    for (int k = 1; k + 1 < argc; k += 2) run(machine, argv[k], argv[k + 1]);
    machine.top.final();
    return 0;
}
