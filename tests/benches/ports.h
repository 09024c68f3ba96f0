// The ports of the hardware as plain numbers, of one width in every design: P(name) a number, B(name) a beat on the bus.
// STREAMS: of a core without DRAM.
#pragma once
#include <cstdint>

static const uint32_t WIDEST = 64;  // bytes of the widest beat
extern const uint32_t BEAT;         // bytes of this design's

#define LITE_INPUTS(P)                                                                                             \
    P(clk) P(s_axil_awaddr) P(s_axil_awvalid) P(s_axil_wdata) P(s_axil_wstrb) P(s_axil_wvalid) P(s_axil_bready) \
    P(s_axil_araddr) P(s_axil_arvalid) P(s_axil_rready)
#define LITE_OUTPUTS(P) \
    P(irq) P(s_axil_awready) P(s_axil_wready) P(s_axil_arready) P(s_axil_rdata) P(s_axil_rvalid)
#ifdef STREAMS
#define INPUTS(P, B)                                                                                                  \
    LITE_INPUTS(P) P(program_offset) P(program_count) P(dram_size) P(image_first) P(image_beats) P(result_first)      \
    P(result_beats) P(spill_first) P(spill_beats) P(s_axis_tvalid) P(s_axis_tlast) B(s_axis_tdata) P(m_axis_tready)
#define OUTPUTS(P, B) LITE_OUTPUTS(P) P(dropped) P(s_axis_tready) P(m_axis_tvalid) P(m_axis_tlast) B(m_axis_tdata)
#else
#define INPUTS(P, B)                                                                                                 \
    LITE_INPUTS(P) P(m_axi_arready) P(m_axi_awready) P(m_axi_wready) P(m_axi_rvalid) P(m_axi_rlast) P(m_axi_rresp) \
    B(m_axi_rdata) P(m_axi_bvalid) P(m_axi_bresp)
#define OUTPUTS(P, B)                                                                                                  \
    LITE_OUTPUTS(P) P(m_axi_araddr) P(m_axi_arlen) P(m_axi_arsize) P(m_axi_arburst) P(m_axi_arvalid) P(m_axi_awaddr) \
    P(m_axi_awlen) P(m_axi_awsize) P(m_axi_awburst) P(m_axi_awvalid) B(m_axi_wdata) P(m_axi_wstrb) P(m_axi_wlast)    \
    P(m_axi_wvalid) P(m_axi_rready) P(m_axi_bready)
#endif

class Vaccelerator;

class Ports {
  public:
    uint64_t rst = 0;  // active while 1, whatever the hardware's is
#define NUMBER(name) uint64_t name = 0;
#define BYTES(name) uint8_t name[WIDEST] = {};
    INPUTS(NUMBER, BYTES)
    OUTPUTS(NUMBER, BYTES)
#undef NUMBER
#undef BYTES
    Ports();
    void eval();  // the model sees the inputs and shows its outputs
    void final();

  private:
    Vaccelerator* const model;
};
