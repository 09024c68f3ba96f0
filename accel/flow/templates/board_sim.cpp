// The whole board in Verilator, its serial port on standard input and output: bytes that come in are put on the line
// ftdi_txd bit by bit, and what the line ftdi_rxd says goes out. It ends when its input does.
#include <poll.h>
#include <unistd.h>

#include <cstdint>
#include <deque>

#include "Vtop.h"
#include "verilated.h"

static const int LOOK_EVERY = 256;  // cycles between two looks at the input

int main(int argc, char** argv) {
    Verilated::commandArgs(argc, argv);
    Vtop top;
    std::deque<uint8_t> waiting;
    uint32_t out = 0, in = 0;  // bits that are still to be put on the line, bits that were seen on the other
    int out_left = 0, in_left = 0, out_timer = 0, in_timer = 0;
    top.ftdi_txd = 1;
    top.btn_fire1 = 0;
    for (uint64_t cycle = 0;; cycle++) {
        if (cycle % LOOK_EVERY == 0) {
            pollfd ready = {0, POLLIN, 0};
            if (poll(&ready, 1, 0) > 0) {
                uint8_t bytes[4096];
                ssize_t count = read(0, bytes, sizeof bytes);
                if (count <= 0) break;
                waiting.insert(waiting.end(), bytes, bytes + count);
            }
        }
        if (out_timer == 0) {
            if (!out_left && !waiting.empty()) {
                out = waiting.front() << 1 | 1 << 9;  // start bit, data, stop bit
                waiting.pop_front();
                out_left = 10;
            }
            if (out_left) {
                top.ftdi_txd = out & 1;
                out >>= 1;
                out_left--;
                out_timer = DIVIDER;
            }
        }
        if (out_timer) out_timer--;
        top.clk_25mhz = 1;
        top.eval();
        top.clk_25mhz = 0;
        top.eval();
        if (!in_left && !top.ftdi_rxd) {
            in_left = 10;
            in_timer = DIVIDER / 2;
        }
        if (in_left && in_timer-- == 0) {
            in = in >> 1 | (uint32_t)top.ftdi_rxd << 9;
            in_timer = DIVIDER - 1;
            if (--in_left == 0) {
                uint8_t byte = in >> 1 & 255;
                if (write(1, &byte, 1) != 1) break;
            }
        }
    }
    top.final();
    return 0;
}
