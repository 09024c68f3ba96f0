"""The whole accelerator: the block diagram of docs/architecture.md, connected."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, ResetInserter, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from accel.commands import WAIT_BITS
from accel.design import Design
from accel.events import Event
from accel.latency import COMPLETE, FIRST_PUSH_CYCLE
from accel.memories import PARAMETER
from accel.memory_kinds import OnChip
from accel.registers import PAGE_BITS, PROGRAM_COUNT_BITS
from accel.rtl.axi import LITE_SLAVE, read_master, write_master
from accel.rtl.buffers import ActivationBanks, Buffer
from accel.rtl.control import Control
from accel.rtl.csr import Csr
from accel.rtl.engines import compute_unit
from accel.rtl.fifo import CommandQueue
from accel.rtl.loader import Loader
from accel.rtl.post.unit import PostUnit
from accel.rtl.sequencer import Sequencer
from accel.rtl.sparse.ports import loaded_block
from accel.rtl.storer import Storer
from accel.rtl.systolic.unit import ComputeUnit
from accel.units import UNIT_NAMES


def members(prefix: str, *signatures: wiring.Signature) -> dict[str, wiring.Member]:
    """The members of signatures as ports of their own, behind `prefix`."""
    return {f"{prefix}_{name}": member for each in signatures for name, member in each.members.items()}


LITE_PORTS = members("s_axil", LITE_SLAVE)
RUN_PORTS = {
    "go": In(1),
    "program_offset": In(32),
    "program_count": In(PROGRAM_COUNT_BITS),
    "dram_size": In(32),
    "done": Out(1),
    "error": Out(4),
}
"""Of the accelerator inside a core without DRAM: what else is in registers, and the end of a run."""


def ports_of(design: Design) -> dict[str, wiring.Member]:
    """The ports of a design's accelerator, clock and reset apart."""
    bus = members("m_axi", read_master(design.memory), write_master(design.memory))
    return bus | LITE_PORTS | (RUN_PORTS if isinstance(design.memory, OnChip) else {}) | {"irq": Out(1)}


class Accelerator(wiring.Component):
    """Ports: `s_axil_*` (AXI4-Lite slave), `m_axi_*` (AXI4 master, no identifiers), `irq`; clock, synchronous reset.

    Inside a core without DRAM `RUN_PORTS` as well.
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        self.inside = isinstance(design.memory, OnChip)
        super().__init__(ports_of(design))

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        design = self.design
        # Of a run, or of the next image of one: all begin from the same state. The sequencer is reset then, and begins
        # in the next cycle, in which a register resets the others, which are far away: no command comes before.
        start, starting = Signal(name="start"), Signal(name="starting")
        restart = ResetInserter(starting)
        assert FIRST_PUSH_CYCLE > 1
        compute, post, loader, storer = compute_unit(design), PostUnit(design), Loader(design), Storer(design)
        units: dict[str, Any] = {"load": loader, "compute": compute, "post": post, "store": storer}
        m.submodules.control = control = Control()
        sequencer = Sequencer(design)
        m.submodules.sequencer = ResetInserter(start)(sequencer)
        for name, unit in units.items():
            m.submodules[name] = restart(unit)
        m.submodules.banks = banks = ActivationBanks(design)
        m.submodules.parameters = parameters = Buffer(PARAMETER, design)
        increments = self._increments(loader, storer, compute, post, sequencer)
        m.submodules.csr = csr = Csr(design, {event: len(value) for event, value in increments.items()})
        m.d.comb += [getattr(csr, f"event_{event.name.lower()}").eq(v) for event, v in increments.items()]
        self._outside(m, csr, loader, storer)
        run = self if self.inside else csr
        if self.inside:
            m.d.comb += [csr.go.eq(self.go), self.done.eq(control.done), self.error.eq(control.error)]
        m.d.comb += [
            start.eq(csr.start if self.inside else csr.start | control.next),
            control.start.eq(csr.start),
            control.starting.eq(starting),
            control.last.eq(1 if self.inside else csr.last),
            control.busy.eq(csr.busy),
            control.watchdog.eq(csr.watchdog),
            control.abort.eq(csr.abort),
            csr.done.eq(control.done),
            csr.error.eq(control.error),
            csr.quiet.eq(loader.idle & storer.idle),
            sequencer.program_offset.eq(run.program_offset),
            sequencer.program_count.eq(run.program_count),
            sequencer.program_write.eq(loader.program_write),
            sequencer.program_data.eq(loader.program_data),
            sequencer.halt.eq(control.halt),
            control.finished.eq(sequencer.finished),
        ]
        m.d.sync += starting.eq(start)
        m.d.comb += sequencer.start.eq(starting)
        for name, unit in units.items():
            m.submodules[f"queue_{name}"] = restart(queue := CommandQueue(design.buffers.queue_commands))
            connect(m, getattr(sequencer, f"o_{name}"), queue.i)
            connect(m, queue.o, unit.i)
            m.d.comb += unit.halt.eq(control.halt)
        complete = Signal(name="complete")
        assert [stage.name for stage in COMPLETE] == ["count", "compare"]
        m.d.sync += complete.eq(self._completion(m, starting, sequencer, units))
        m.d.comb += sequencer.all_complete.eq(complete)
        for ours, theirs in (
            (compute.r_act, banks.r_compute),
            (post.r_act, banks.r_post),
            (storer.r_act, banks.r_store),
            (loader.w_act, banks.w_load),
            (post.w_act, banks.w_post),
            (loader.w_weight, compute.w_weight),
            (loader.w_codebook, compute.w_codebook),
            (loader.w_param, parameters.w),
            (loader.w_table, post.w_table),
            (post.r_param, parameters.r),
            (post.r_acc, compute.r_acc),
        ):
            connect(m, ours, theirs)
        for name in loaded_block(design):
            m.d.comb += getattr(compute, name).eq(getattr(loader, name))
        base = Const(0) if self.inside else csr.dram_base
        if design.memory.axi_address_bits > 32:
            base = Cat(base, csr.dram_base_high)
        for unit in (loader, storer):
            m.d.comb += [unit.dram_base.eq(base), unit.dram_size.eq(run.dram_size)]
        if not self.inside:
            m.d.comb += [
                csr.next.eq(control.next),
                loader.input_move.eq(csr.input_move[PAGE_BITS:]),
                *(unit.output_move.eq(csr.output_move[PAGE_BITS:]) for unit in (loader, storer)),
            ]
        errors = [sequencer.error, *(unit.error for unit in units.values())]
        first = errors[-1]
        for error in reversed(errors[:-1]):
            first = Mux(error != 0, error, first)
        found = Signal(4, name="found_error")
        m.d.sync += found.eq(first)
        with m.If(control.halt | start | starting):  # what is said before all is reset is not of this run
            m.d.sync += found.eq(0)
        handshakes = Cat(
            loader.axi.rvalid & loader.axi.rready,
            loader.axi.arvalid & loader.axi.arready,
            storer.axi.wvalid & storer.axi.wready,
            storer.axi.awvalid & storer.axi.awready,
            storer.axi.bvalid & storer.axi.bready,
            compute.event_stream_cycles,
            post.event_post_outputs,
            post.event_act_reads,
            post.event_acc_reads,
            sequencer.event_commands,
            *([compute.event_weight_reads.any(), compute.event_acc_writes.any()] if design.is_sparse else []),
            *([post.event_filter_steps] if design.filter_multipliers else []),
            loader.turn,
        )
        # Both a cycle ago: after an error nothing begins anew, and what was begun before that is forgotten before it is
        # on the bus; and a watchdog may count a cycle more.
        quiet, moved = Signal(init=1, name="quiet"), Signal(name="moved")
        m.d.comb += [
            control.errors.eq(found),
            control.active.eq(moved),
            control.quiet.eq(quiet),
        ]
        m.d.sync += [quiet.eq(csr.quiet), moved.eq(handshakes.any())]
        return m

    def _outside(self, m: Module, csr: Csr, loader: Loader, storer: Storer) -> None:
        """The ports of the accelerator itself."""
        m.d.comb += self.irq.eq(csr.irq)
        for prefix, inner in (("m_axi_", loader.axi), ("m_axi_", storer.axi), ("s_axil_", csr.lite)):
            for name in inner.signature.members:
                outer, port = getattr(self, prefix + name), getattr(inner, name)
                drives_us = self.signature.members[prefix + name].flow is Out
                m.d.comb += outer.eq(port) if drives_us else port.eq(outer)

    def _completion(self, m: Module, starting: Signal, sequencer: Sequencer, units: dict[str, Any]) -> Value:
        """Counts of pushed and completed commands; gives the counts to all units. Returns: nothing is outstanding."""
        equal = []
        for name in UNIT_NAMES:
            pushed, completed = Signal(WAIT_BITS, name=f"pushed_{name}"), Signal(WAIT_BITS, name=f"completed_{name}")
            # That there is one more is known late: it enables the counter, and is no carry into it.
            for count, more in ((pushed, getattr(sequencer, f"pushed_{name}")), (completed, units[name].done)):
                with m.If(more):
                    m.d.sync += count.eq(count + 1)
            with m.If(starting):
                m.d.sync += [pushed.eq(0), completed.eq(0)]
            for unit in units.values():
                m.d.comb += getattr(unit, f"completed_{name}").eq(completed)
            equal.append(pushed == completed)
        return Cat(*equal).all()

    @staticmethod
    def _increments(
        loader: Loader, storer: Storer, compute: ComputeUnit, post: PostUnit, sequencer: Sequencer
    ) -> dict[Event, Value]:
        """By how much each counter of the design but CYCLES grows in this cycle."""
        act_reads = compute.event_act_reads + post.event_act_reads
        sparse = post.design.is_sparse
        optional: dict[Event, Value] = {}
        if sparse:
            optional |= {
                Event.BROADCASTS: compute.event_broadcasts,
                Event.BROADCASTS_SKIPPED: compute.event_broadcasts_skipped,
                Event.POINTER_WRITES: compute.event_pointer_writes,
            }
        if post.design.decoder_lanes:
            optional |= {
                Event.RUN_READS: loader.event_run_reads,
                Event.VALUE_READS: loader.event_value_reads,
                Event.RUN_TABLE_WRITES: loader.event_run_table_writes,
                Event.VALUE_TABLE_WRITES: loader.event_value_table_writes,
            }
        if post.design.codebooks:
            optional |= {
                Event.CODEBOOK_READS: compute.event_codebook_reads,
                Event.CODEBOOK_WRITES: loader.w_codebook.en,
            }
        if post.design.tables:
            optional |= {Event.TABLE_READS: post.event_table_reads, Event.TABLE_WRITES: loader.w_table.en}
        if post.design.filter_multipliers:
            optional |= {Event.FILTER_STEPS: post.event_filter_steps, Event.FILTER_MACS: post.event_filter_macs}
        return {
            Event.READ_BEATS: loader.axi.rvalid & loader.axi.rready,
            Event.WRITE_BEATS: storer.axi.wvalid & storer.axi.wready,
            Event.READ_BURSTS: loader.axi.arvalid & loader.axi.arready,
            Event.WRITE_BURSTS: storer.axi.awvalid & storer.axi.awready,
            Event.COMMANDS: sequencer.event_commands,
            Event.ACT_READS: act_reads + storer.r_act.en,
            Event.ACT_WRITES: loader.w_act.en + post.event_act_writes,
            Event.WEIGHT_READS: compute.event_weight_reads,
            Event.WEIGHT_WRITES: compute.event_weight_writes if sparse else loader.w_weight.en,
            Event.ACC_READS: compute.event_acc_reads + post.event_acc_reads * (post.design.cols if sparse else 1),
            Event.ACC_WRITES: compute.event_acc_writes,
            Event.PARAM_READS: post.event_param_reads,
            Event.PARAM_WRITES: loader.w_param.en,
            Event.MACS: compute.event_macs,
            Event.MACS_GATED: compute.event_macs_gated,
            Event.POST_OUTPUTS: post.event_post_outputs,
            Event.STREAM_CYCLES: compute.event_stream_cycles,
            Event.MACS_ZERO: compute.event_macs_zero,
            **optional,
        }
