"""The post-process unit: windows from accumulators or activation banks, requantised, into the activation banks."""

from __future__ import annotations

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from accel.commands import COMMAND_BYTES, ConfigPost, Opcode, Post
from accel.design import Design
from accel.latency import cycles, post_cycles, product_pipeline, table_cycles
from accel.memories import ACCUMULATOR, ACTIVATION, PARAMETER, TABLE
from accel.records import TAPS
from accel.rtl.layouts import layout
from accel.rtl.ports import read_port, unit_members, waits_hold, write_port
from accel.rtl.post.filter_walk import filter_walk
from accel.rtl.post.pipeline import pipeline, with_filter
from accel.rtl.post.walk import walk


def filter_events(design: Design) -> dict:
    """Ports that only a unit with a filter has."""
    return {"event_filter_steps": Out(1), "event_filter_macs": Out(range(TAPS * design.lanes + 1))}


class PostUnit(wiring.Component):
    """One window element a cycle, P channels wide.

    The pipeline after the cycle in which the walk is at an element is `accel.latency.post_pipeline`: its address | data
    read | chunk selected | reduced | requantised (`Requantise`), and written; or looked up in a table, and written a
    cycle later.
    Elements outside take their cycle, but are not read. A record is read for each output. A residual operand is read
    with the window's last element, or in a cycle of its own after it when the source is the activation banks (they have
    one read port). A maximum over a window that is all outside is -2**31. Sums have 32 bits and wrap around.

    With `filter` a cycle is a slot of another walk (`filter_walk`): a pixel passes the line buffer, which `weigh` has,
    and where it completes a window, this enters the same pipeline `accel.latency.filter_cycles` later, as an element.

    A POST is popped in the last element's cycle of the one before, or later; CONFIG_POST when the pipeline is empty. So
    a POST does not see what the one before wrote in its last cycles, unless there is a CONFIG_POST between them.
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        super().__init__(
            {
                **unit_members(),
                "r_acc": Out(read_port(ACCUMULATOR, design)),
                "r_act": Out(read_port(ACTIVATION, design)),
                "w_act": Out(write_port(ACTIVATION, design)),
                "r_param": Out(read_port(PARAMETER, design)),
                "event_act_reads": Out(1),
                "event_acc_reads": Out(1),
                "event_act_writes": Out(1),
                "event_param_reads": Out(1),
                "event_post_outputs": Out(1),
                **(filter_events(design) if design.filter_multipliers else {}),
                "w_table": In(write_port(TABLE, design)),
                "event_table_reads": Out(range(design.lanes + 1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        config = data.View(layout(ConfigPost), Signal(8 * COMMAND_BYTES, name="config", reset_less=True))
        command = data.View(layout(Post), Signal(8 * COMMAND_BYTES, name="running", reset_less=True))
        head = data.View(layout(Post), self.i.payload)
        is_post = head.opcode == Opcode.POST
        active, take = Signal(name="active"), Signal(name="take")
        more = cycles(product_pipeline(self.design))
        draining = Signal(range(post_cycles(self.design) + more + table_cycles(self.design) + 1), name="draining")
        offered, configure = Signal(name="offered"), Signal(name="configure")
        # A command may be taken: none is active, or the last element of one. A register says so, since all that a
        # command begins with asks for it: what will be active, and whether that ends, is known a cycle before.
        free, next_active, ends_next = Signal(init=1, name="free"), Signal(name="next_active"), Signal(name="ends_next")
        m.d.comb += [
            offered.eq(self.i.valid & ~self.halt),
            # What a command begins with is loaded while it waits: that it is taken changes little, since it comes late.
            next_active.eq(Mux(free, take, active)),
            configure.eq(offered & ~is_post & ~active & (draining == 0)),
            take.eq(offered & is_post & free & waits_hold(self, head)),
            self.i.ready.eq(take | configure),
            self.idle.eq(~active & (draining == 0)),
        ]
        m.d.sync += [active.eq(next_active), free.eq(~next_active | ends_next)]
        with m.If(active):
            behind = Mux(config.table, table_cycles(self.design), 0) + Mux(config.multiply, more, 0)
            m.d.sync += draining.eq(post_cycles(self.design) + behind)
        with m.Elif(draining != 0):
            m.d.sync += draining.eq(draining - 1)
        with m.If(configure):
            m.d.sync += config.eq(self.i.payload)
        filters = head.filter != 0 if self.design.filter_multipliers else Const(0)
        filtering, walked = Signal(name="filtering"), Signal(name="walked")
        with m.If(free):
            m.d.sync += [command.eq(head), filtering.eq(filters)]
        walking = active & ~filtering
        element, walks_out = walk(m, self.design, config, command, head, walking, walked, free)
        m.d.comb += ends_next.eq(walks_out)
        slots = None
        if self.design.filter_multipliers:
            slots = filter_walk(m, self.design, config, command, head, free, take & filters)
            element, filtered = with_filter(m, self.design, element, slots, filtering)
            m.d.comb += [
                ends_next.eq(Mux(Mux(free, filters, filtering), filtered, walks_out)),
                self.event_filter_steps.eq(slots.step),
                self.event_filter_macs.eq(Mux(slots.window, self._weighed(slots.last, command), 0)),
            ]
        pipeline(m, self, config, command, element, slots)
        return m

    def _weighed(self, last: Value, command: data.View) -> Value:
        """Products of a part of a window: as there are multipliers, but fewer in the last part of a larger window."""
        each, elements = self.design.filter_multipliers, self.design.filter_side**2
        products = each * self.design.lanes
        if elements == TAPS:
            return Const(products)
        return Mux(last & command.filter[1], elements % each * self.design.lanes, products)
