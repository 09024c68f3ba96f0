"""The quick check for combinational cycles against Amaranth's own, on random logic and on hardware of ours."""

from __future__ import annotations

from random import Random

import pytest
from amaranth.hdl import Array, Cat, CombinationalCycle, Const, Fragment, Module, Mux, Signal, Value, _ir, _nir
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Out

from accel.rtl.acyclic import has_cycle, quick_check
from accel.rtl.modules import convert


def logic(rng: Random) -> tuple[Module, list[Signal]]:
    """Slices of a word, each driven by slices that begin higher up, through every kind of cell.

    They may overlap what they drive: through bitwise cells this is no cycle, through others it is.
    """
    m, word = Module(), Signal(rng.randint(6, 24), name="word")
    m.submodules.memory = memory = Memory(shape=4, depth=16, init=[])
    port, clocked = memory.read_port(domain="comb"), memory.read_port()
    m.d.comb += [port.addr.eq(word[-4:]), clocked.addr.eq(word[:4])]

    def operand(behind: int) -> Value:
        if behind >= len(word) or rng.random() < 0.1:
            return rng.choice([clocked.data, Const(5, 3), port.data if rng.random() < 0.2 else Const(1, 2)])
        start = rng.randint(0 if rng.random() < 0.02 else behind, len(word) - 1)
        return word[start : start + rng.randint(1, 4)]

    def value(behind: int) -> Value:
        a, b, c = operand(behind), operand(behind), operand(behind + 5)
        if rng.random() < 0.7:
            return rng.choice([a & b, a | b, a ^ b, ~a, Mux(c[:1], a, b)])
        if rng.random() < 0.85:
            a, b = operand(behind + 5), operand(behind + 5)
        made = [a + b, a - b, a * b, -a, a == b, a < b, a.any(), Cat(a, b), Array([a, b, c])[c[:1]], a // b]
        return rng.choice([*made, a.bit_select(b[:2], 2), a << c[:2], a.matches(0) & b])

    start = 0
    while start < len(word):
        target = word[start : start + rng.randint(1, 5)]
        if rng.random() < 0.1:
            register = Signal(4)
            m.d.sync += register.eq(value(0))
            m.d.comb += target.eq(register)
        else:
            m.d.comb += target.eq(value(start + 1))
            with m.If(operand(start + len(target))):
                m.d.comb += target.eq(value(start + 1))
            with m.Elif(operand(start + len(target))):
                m.d.comb += target.eq(value(start + 1))
        start += len(target)
    return m, [word]


def netlist_of(m: Module, outputs: list[Signal]) -> _nir.Netlist:
    """What Amaranth checks, unchecked."""
    design = Fragment.get(m, None).prepare(ports=outputs, hierarchy=("top",))
    netlist = _nir.Netlist()
    _ir._emit_netlist(netlist, design, all_undef_to_ff=False)
    return netlist


def test_random_logic() -> None:
    found = {True: 0, False: 0}
    for seed in range(150):
        netlist = netlist_of(*logic(Random(seed)))
        try:
            netlist.check_comb_cycles()
            cyclic = False
        except CombinationalCycle:
            cyclic = True
        assert has_cycle(netlist) == cyclic, seed
        found[cyclic] += 1
    assert min(found.values()) >= 40, found


def test_bits_of_one_signal_may_depend_on_each_other() -> None:
    for cyclic in (False, True):
        m, bits = Module(), Signal(3)
        m.d.comb += [bits[1].eq(bits[0]), bits[2].eq(~bits[1]), bits[0].eq(bits[2] if cyclic else 1)]
        assert has_cycle(netlist_of(m, [bits])) == cyclic


def test_a_cycle_is_told_as_amaranth_tells_it() -> None:
    own = _nir.Netlist.check_comb_cycles
    m, a, b = Module(), Signal(2, name="a"), Signal(2, name="b")
    m.d.comb += [a.eq(b + 1), b.eq(a)]
    netlist = netlist_of(m, [a])
    with pytest.raises(CombinationalCycle, match="signal a bit 0"), quick_check():
        netlist.check_comb_cycles()
    assert _nir.Netlist.check_comb_cycles is own


class Ring(wiring.Component):
    def __init__(self) -> None:
        super().__init__({"o": Out(4)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.o.eq(self.o + 1)
        return m


def test_hardware_with_a_cycle_is_not_written() -> None:
    with pytest.raises(CombinationalCycle):
        convert(Ring(), "ring")
