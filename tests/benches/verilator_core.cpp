// Runs a core without DRAM: images in and results out by AXI-Stream, with no interpreter in the loop.
//
//   bench CASE OUT +rom=FILE
//
// CASE: the fields of Case, 8 bytes each, little-endian, the fields of each job, then the images. OUT: for every image of
// every job the cycle in which its run was done, its counters (of jobs that read them, else zeros) and its result. All jobs
// run one after the other on the same hardware, which is reset once. tests/benches/verilator_core.py writes and reads these files.
//
// A job streams its images in order. With `in_seed` the sender pauses at random, with `out_seed` the receiver; with `bad_seed` packets
// that are too short or too long come between them, and must be dropped. A job that reads counters sends an image when the
// result of the one before is in. An offer that changes, or a packet of another length, ends the program with status 1.
#include <random>

#define STREAMS
#include "bench.h"

struct Case {
    uint64_t program_offset, program_count, dram_size, image_first, image_beats, result_first, result_beats, spill_first,
        spill_beats, max_cycles, jobs;
};
struct Job {
    uint64_t images, in_seed, out_seed, bad_seed, counters, abort_after;
};

struct Packet {
    std::vector<uint8_t> bytes;  // whole beats
    bool good;
};

class Bench : public Driver {
  public:
    Case now;
    std::vector<uint64_t> done;                   // cycles of done
    std::vector<std::vector<uint8_t>> results;    // packets that came
    std::vector<Packet> queue;                    // packets to be sent
    size_t next = 0, sent_beats = 0, dropped = 0, bad = 0;
    std::mt19937_64 in_random, out_random;
    bool in_pauses = false, out_pauses = false;

    explicit Bench(const Case& given) : now(given) {
        top.program_offset = now.program_offset;
        top.program_count = now.program_count;
        top.dram_size = now.dram_size;
        top.image_first = now.image_first;
        top.image_beats = now.image_beats;
        top.result_first = now.result_first;
        top.result_beats = now.result_beats;
        top.spill_first = now.spill_first;
        top.spill_beats = now.spill_beats;
        top.s_axil_bready = top.s_axil_rready = 1;
        top.s_axil_wstrb = 15;
        top.rst = 1;
        for (int k = 0; k < 4; k++) step();
        top.rst = 0;
    }

    void step() override {
        offering = next < queue.size() && (offering || !in_pauses || in_random() % 10 < 6);
        top.s_axis_tvalid = offering;
        if (offering) {
            const Packet& packet = queue[next];
            put(top.s_axis_tdata, packet.bytes.data() + sent_beats * BEAT);
            top.s_axis_tlast = (sent_beats + 1) * BEAT == packet.bytes.size();
        }
        top.m_axis_tready = !out_pauses || out_random() % 10 < 4;
        clock();
    }

  private:
    bool offering = false, held = false, held_last = false, irq = false;
    std::vector<uint8_t> packet, offer = std::vector<uint8_t>(BEAT);

    void observe() override {
        if (top.irq && !irq) done.push_back(cycle - 1);  // irq is seen one cycle after done
        irq = top.irq;
        dropped += top.dropped;
        if (offering && top.s_axis_tready) {
            sent_beats++;
            offering = false;
            if (sent_beats * BEAT == queue[next].bytes.size()) {
                sent_beats = 0;
                next++;
            }
        }
        uint8_t beat[WIDEST];
        get(top.m_axis_tdata, beat);
        if (held && (!top.m_axis_tvalid || memcmp(beat, offer.data(), BEAT) || bool(top.m_axis_tlast) != held_last))
            fail("an offered beat was changed");
        held = top.m_axis_tvalid && !top.m_axis_tready;
        held_last = top.m_axis_tlast;
        memcpy(offer.data(), beat, BEAT);
        if (top.m_axis_tvalid && top.m_axis_tready) {
            packet.insert(packet.end(), beat, beat + BEAT);
            if (top.m_axis_tlast) {
                if (packet.size() != now.result_beats * BEAT) fail("a result of another length");
                results.push_back(packet);
                packet.clear();
            }
        }
    }
};

// A packet of another length than an image: shorter, or longer.
static Packet wrong(std::mt19937_64& random, uint64_t beats) {
    uint64_t length = 1 + random() % (2 * beats + 2);
    if (length == beats) length++;
    Packet packet{std::vector<uint8_t>(length * BEAT), false};
    for (uint8_t& byte : packet.bytes) byte = random();
    return packet;
}

static void wait_for(Bench& bench, size_t results) {
    const uint64_t limit = bench.cycle + bench.now.max_cycles;
    while (bench.results.size() < results) {
        bench.step();
        if (bench.cycle > limit) {
            fprintf(stderr, "error %u, status %u; ", bench.read(ACCEL_ERROR), bench.read(ACCEL_STATUS));
            fail("a result does not come");
        }
    }
}

// Stops the run of an image that was just queued: it sends nothing and waits; CONTROL runs it again.
static void abort_run(Bench& bench, uint64_t after) {
    const size_t results = bench.results.size(), done = bench.done.size();
    while (bench.next < bench.queue.size()) bench.step();
    for (uint64_t k = 0; k < after; k++) bench.step();
    if (bench.done.size() != done) return;  // it was shorter than that
    bench.write(ACCEL_CONTROL, 2);
    for (int k = 0; bench.done.size() == done; k++) {
        bench.step();
        if (k > 10000) fail("a run that is aborted does not end");
    }
    if (bench.read(ACCEL_ERROR) == 0) return;  // it was done in that very cycle
    if (bench.read(ACCEL_ERROR) != ACCEL_ERROR_ABORTED || !(bench.read(ACCEL_STATUS) & 4)) fail("not ABORTED");
    for (int k = 0; k < 1000; k++) bench.step();
    if (bench.results.size() != results || bench.done.size() != done + 1) fail("a run that was aborted goes on");
    bench.done.pop_back();
    bench.write(ACCEL_CONTROL, 1);
}

static void run(Bench& bench, const Job& job, const uint8_t* images, std::vector<uint64_t>& counters) {
    const size_t size = bench.now.image_beats * BEAT;
    std::mt19937_64 bad(job.bad_seed);
    bench.in_random.seed(job.in_seed);
    bench.out_random.seed(job.out_seed);
    bench.in_pauses = job.in_seed;
    bench.out_pauses = job.out_seed;
    for (uint64_t k = 0; k < job.images; k++) {
        while (job.bad_seed && bad() % 3 == 0) {
            bench.queue.push_back(wrong(bad, bench.now.image_beats));
            bench.bad++;
        }
        bench.queue.push_back({std::vector<uint8_t>(images + k * size, images + (k + 1) * size), true});
        const size_t results = bench.results.size();
        if (job.abort_after) abort_run(bench, job.abort_after);
        if (job.counters) wait_for(bench, results + 1);
        for (uint32_t c = 0; c < ACCEL_COUNTERS; c++) {
            uint64_t value = 0;
            if (job.counters)
                value = bench.counter(c);
            counters.push_back(value);
        }
    }
    if (!job.counters) wait_for(bench, bench.results.size() + job.images);
    if (bench.read(ACCEL_ERROR)) fail("ERROR is not 0");
    if (bench.dropped != bench.bad) fail("packets dropped are not those of another length");
}

int main(int argc, char** argv) {
    Verilated::commandArgs(argc, argv);
    Verilated::randReset(2);  // what has no initial value (the memories) starts with random bits
    std::vector<uint8_t> bytes = content(argv[1]);
    Case given;
    memcpy(&given, bytes.data(), sizeof given);
    std::vector<Job> jobs(given.jobs);
    memcpy(jobs.data(), bytes.data() + sizeof given, given.jobs * sizeof(Job));
    const uint8_t* images = bytes.data() + sizeof given + given.jobs * sizeof(Job);
    Bench bench(given);
    bench.write(ACCEL_IRQ_ENABLE, 1);
    std::vector<uint64_t> counters;
    for (const Job& job : jobs) {
        run(bench, job, images, counters);
        images += job.images * given.image_beats * BEAT;
    }
    for (int k = 0; k < 100; k++) bench.step();
    if (bench.done.size() != bench.results.size()) fail("runs and results are not equally many");
    FILE* file = fopen(argv[2], "wb");
    if (!file) fail("an outcome cannot be written");
    for (size_t k = 0; k < bench.results.size(); k++) {
        fwrite(&bench.done[k], 8, 1, file);
        fwrite(&counters[k * ACCEL_COUNTERS], 8, ACCEL_COUNTERS, file);
        fwrite(bench.results[k].data(), 1, bench.results[k].size(), file);
    }
    fclose(file);
    bench.top.final();
    return 0;
}
