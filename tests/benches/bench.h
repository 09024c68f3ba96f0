// What the benches in C++ have in common. A bench knows the hardware as `Ports`, whatever the design: it is compiled once.
#pragma once
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "ports.h"
#include "accel_registers.h"  // as `accel emit` writes it
#include "verilated.h"

static void fail(const char* what) {
    fprintf(stderr, "bench: %s\n", what);
    exit(1);
}

static void put(uint8_t* port, const uint8_t* bytes) { memcpy(port, bytes, BEAT); }
static void get(const uint8_t* port, uint8_t* bytes) { memcpy(bytes, port, BEAT); }

static std::vector<uint8_t> content(const char* path) {
    FILE* file = fopen(path, "rb");
    if (!file) fail("a case cannot be read");
    std::vector<uint8_t> bytes;
    uint8_t part[1 << 16];
    for (size_t n; (n = fread(part, 1, sizeof part, file)) > 0;) bytes.insert(bytes.end(), part, part + n);
    fclose(file);
    return bytes;
}

// The hardware and its registers: a driver on AXI4-Lite. `step` is a cycle; `observe` looks at the ports before the
// clock's edge.
class Driver {
  public:
    Ports top;
    uint64_t cycle = 0;

    virtual void step() = 0;

    void write(uint32_t address, uint32_t value) {
        top.s_axil_awaddr = address;
        top.s_axil_wdata = value;
        top.s_axil_wstrb = 15;
        top.s_axil_awvalid = top.s_axil_wvalid = 1;
        do step();
        while (!lite_written);
        top.s_axil_awvalid = top.s_axil_wvalid = 0;
    }

    uint32_t read(uint32_t address) {
        top.s_axil_araddr = address;
        top.s_axil_arvalid = 1;
        do step();
        while (!lite_addressed);
        top.s_axil_arvalid = 0;
        do step();
        while (!lite_read);
        return lite_value;
    }

    uint64_t counter(uint32_t k) { return read(ACCEL_COUNTER_BASE + 4 * k); }

  protected:
    virtual void observe() = 0;

    // The inputs of the cycle are driven; the clock edge comes after they were looked at.
    void clock() {
        top.clk = 0;
        top.eval();
        lite_written = top.s_axil_awvalid && top.s_axil_awready && top.s_axil_wready;
        lite_addressed = top.s_axil_arvalid && top.s_axil_arready;
        lite_read = top.s_axil_rvalid;
        lite_value = top.s_axil_rdata;
        observe();
        top.clk = 1;
        top.eval();
        cycle++;
    }

  private:
    bool lite_written = false, lite_addressed = false, lite_read = false;
    uint32_t lite_value = 0;
};
