// The accelerator and an AXI memory of stated latency and bandwidth, a clock cycle a step.
//
// The memory is that of docs/architecture.md, "Timing contract"; with `stall_seed` every handshake waits at random. `manner`
// says what the READYs wait for: bits 1..0 AWREADY (0 nothing, 1 AWVALID, 2 WVALID, 3 all data of the burst), bits 3..2
// WREADY (0 nothing, 1 WVALID, 2 the burst's address), bit 4 ARREADY for ARVALID. From cycle `freeze_at` of the run it does
// nothing for `freeze_cycles`. Broken
// protocol (a burst that crosses 4 KiB or leaves the memory, an offer that changes) ends the program with status 1.
// Row n of `row_bytes` lies in bank n mod `banks`, counted from DRAM_BASE: addresses that are taken open rows, reads and
// writes each their own, none at the beginning of a run; without `row_bytes` nothing is counted.
#pragma once
#include <algorithm>
#include <deque>
#include <random>

#include "bench.h"

struct Case {
    uint64_t dram_base, dram_size, program_offset, program_count, latency, interval, stall_seed, max_cycles, watchdog,
        bad_read_beat, abort_cycle, manner, freeze_at, freeze_cycles, disturb_cycle, row_bytes, banks, next_offset,
        next_count, images, input_move, output_move, input_step, output_step, memory_bytes;
};
static const uint64_t NEVER = ~0ull;

struct Burst {
    uint64_t due, offset, beats;
};
struct Beat {
    uint8_t bytes[WIDEST];
    uint64_t strobes;
};

class Machine : public Driver {
  public:
    void step() override {
        drive();
        clock();
    }

    void reset() {
        top.s_axil_bready = top.s_axil_rready = 1;
        Case none{};
        begin(none, nullptr);
        restart();
    }

    // Accelerator and memory are reset together: what was in flight is forgotten.
    void restart() {
        started = NEVER;
        top.rst = 1;
        for (int k = 0; k < 4; k++) {
            step();
            reads.clear();  // what it still offers in the cycle before the reset takes effect, too
            writes.clear();
            answers.clear();
            data.assign(1, {});
            r_shown = b_shown = ar_held = aw_held = w_held = false;
        }
        top.rst = 0;
    }

    void begin(const Case& now, uint8_t* content) {
        if (busy_bus()) fail("a run begins with bursts in flight");
        settings = now;
        memory = content;
        random.seed(now.stall_seed);
        read_earliest = write_earliest = 0;
        read_beats = write_beats = row_activations = 0;
        read_rows.assign(now.banks, NEVER);
        write_rows.assign(now.banks, NEVER);
        started = NEVER;
    }

    uint64_t read_beats = 0, write_beats = 0, row_activations = 0, started = NEVER;
    bool irq = false;
    bool busy_bus() const {
        return !reads.empty() || !writes.empty() || !answers.empty() || data.size() > 1 || !data.back().empty() || ar_held ||
               aw_held || w_held;
    }

  private:
    Case settings{};
    uint8_t* memory = nullptr;
    std::mt19937_64 random;
    std::deque<Burst> reads, writes;                            // addresses that were taken
    std::deque<std::vector<Beat>> data{std::vector<Beat>()};  // by burst; the last one is incomplete
    std::deque<uint64_t> answers;
    std::vector<uint64_t> read_rows, write_rows;  // the open row of each bank
    uint64_t read_earliest = 0, write_earliest = 0;
    bool r_shown = false, b_shown = false;
    bool ar_held = false, aw_held = false, w_held = false;
    uint64_t ar_offer[2] = {}, aw_offer[2] = {};
    Beat w_offer = {};
    bool w_offer_last = false;

    bool luck() { return settings.stall_seed == 0 || random() % 10 < 6; }

    bool frozen() const {
        return started != NEVER && cycle - started >= settings.freeze_at && cycle - started - settings.freeze_at < settings.freeze_cycles;
    }

    bool aw_willing() const {
        const size_t complete = data.size() - 1;
        switch (settings.manner & 3) {
            case 1: return aw_held;
            case 2: return complete + (!data.back().empty() || w_held) > writes.size();
            case 3: return complete > writes.size();
        }
        return true;
    }

    bool w_willing() const {
        switch (settings.manner >> 2 & 3) {
            case 1: return w_held;
            case 2: return writes.size() > data.size() - 1;
        }
        return true;
    }

    void drive() {
        const bool awake = !frozen();
        top.m_axi_arready = luck() && awake && (!(settings.manner >> 4 & 1) || ar_held);
        top.m_axi_awready = luck() && awake && aw_willing();
        top.m_axi_wready = cycle >= write_earliest && luck() && awake && w_willing();
        r_shown = !reads.empty() && cycle >= reads[0].due && cycle >= read_earliest && (r_shown || (luck() && awake));
        top.m_axi_rvalid = r_shown;
        static const uint8_t zeros[WIDEST] = {};
        put(top.m_axi_rdata, r_shown ? memory + reads[0].offset : zeros);
        top.m_axi_rlast = r_shown && reads[0].beats == 1;
        top.m_axi_rresp = r_shown && read_beats == settings.bad_read_beat ? 2 : 0;
        b_shown = !answers.empty() && cycle >= answers[0] && (b_shown || (luck() && awake));
        top.m_axi_bvalid = b_shown;
        top.m_axi_bresp = 0;
    }

    Burst address(uint64_t addr, uint32_t len, uint32_t size, uint32_t burst, std::vector<uint64_t>& open) {
        uint64_t bytes = uint64_t(len + 1) * BEAT, offset = addr - settings.dram_base;
        if (addr < settings.dram_base) fail("a burst below DRAM_BASE");
        if (BEAT != 1u << size || burst != 1) fail("a burst of another size or kind");
        if (addr / 4096 != (addr + bytes - 1) / 4096) fail("a burst crosses 4 KiB");
        if (offset + bytes > settings.dram_size) fail("a burst leaves DRAM_SIZE");
        if (offset + bytes > settings.memory_bytes) fail("a burst leaves the memory");
        if (settings.row_bytes)
            for (uint64_t row = offset / settings.row_bytes; row <= (offset + bytes - 1) / settings.row_bytes; row++)
                if (uint64_t& now = open[row % settings.banks]; now != row) {
                    now = row;
                    row_activations++;
                }
        return {cycle + settings.latency, offset, len + 1};
    }

    void observe() override {
        irq = top.irq;
        if (r_shown && top.m_axi_rready) {
            reads[0].offset += BEAT;
            if (--reads[0].beats == 0) reads.pop_front();
            read_earliest = cycle + settings.interval;
            read_beats++;
            r_shown = false;
        }
        if (b_shown && top.m_axi_bready) {
            answers.pop_front();
            b_shown = false;
        }
        hold(top.m_axi_arvalid, top.m_axi_arready, top.m_axi_araddr, top.m_axi_arlen, ar_held, ar_offer);
        if (top.m_axi_arvalid && top.m_axi_arready)
            reads.push_back(address(top.m_axi_araddr, top.m_axi_arlen, top.m_axi_arsize, top.m_axi_arburst, read_rows));
        Beat beat;
        get(top.m_axi_wdata, beat.bytes);
        beat.strobes = top.m_axi_wstrb;
        if (w_held && (!top.m_axi_wvalid || memcmp(beat.bytes, w_offer.bytes, BEAT) || beat.strobes != w_offer.strobes ||
                       bool(top.m_axi_wlast) != w_offer_last))
            fail("an offered write beat was changed");
        w_held = top.m_axi_wvalid && !top.m_axi_wready;
        w_offer = beat;
        w_offer_last = top.m_axi_wlast;
        if (top.m_axi_wvalid && top.m_axi_wready) {
            data.back().push_back(beat);
            write_earliest = cycle + settings.interval;
            write_beats++;
            if (top.m_axi_wlast) data.emplace_back();
        }
        hold(top.m_axi_awvalid, top.m_axi_awready, top.m_axi_awaddr, top.m_axi_awlen, aw_held, aw_offer);
        if (top.m_axi_awvalid && top.m_axi_awready)
            writes.push_back(address(top.m_axi_awaddr, top.m_axi_awlen, top.m_axi_awsize, top.m_axi_awburst, write_rows));
        for (; !writes.empty() && data.size() > 1; writes.pop_front(), data.pop_front()) {
            if (data[0].size() != writes[0].beats) fail("wlast is not at the end of the burst");
            uint8_t* at = memory + writes[0].offset;
            for (const Beat& now : data[0])
                for (uint32_t k = 0; k < BEAT; k++, at++)
                    if (now.strobes >> k & 1) *at = now.bytes[k];
            answers.push_back(cycle + settings.latency);
        }
    }

    static void hold(bool valid, bool ready, uint64_t address, uint64_t length, bool& held, uint64_t* offer) {
        if (held && (!valid || address != offer[0] || length != offer[1])) fail("an offered address was changed");
        held = valid && !ready;
        offer[0] = address;
        offer[1] = length;
    }
};
