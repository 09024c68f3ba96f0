"""The engine's multiplier, one component in three makes: whatever a synthesiser infers, or the block of an FPGA.

An FPGA's multiplier block has registers of its own in front, inside and behind, which no synthesiser of ours moves
registers into: as an instance it is given them by name. Simulators run models of the blocks that stand at the end of
the text (`MODELS`), synthesis tools their own.
"""

from __future__ import annotations

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Mux, Shape, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accel.design import Design
from accel.rtl.modules import is_collecting
from accel.rtl.multiplier_models import GUARDED, MODELS
from accel.rtl.pipeline import later, multiplier

OPERAND_BITS = 18  # of the narrower block, signed


def models(design: Design) -> str:
    """What a simulator needs to run the design's multipliers; no text if they are portable."""
    found = MODELS.get(design.multiplier)
    return GUARDED.format(found) if found else ""


class Block(wiring.Component):
    """`o` = `left` * `right`, `stages` (1 to 3) cycles later, in one multiplier block of the `make` "ecp5" or "xilinx".

    One register is the block's output register, with two the operands' are used as well, with three that inside the
    multiplier. All operands are signed: at most 18 bits.
    """

    def __init__(self, make: str, left: int, right: int, stages: int) -> None:
        self.make, self.stages = make, stages
        super().__init__({"left": In(signed(left)), "right": In(signed(right)), "o": Out(signed(left + right))})

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        if not is_collecting():
            operands = 1 if self.stages > 1 else 0
            left, right = (later(m, value, operands, name, True)
                           for value, name in ((self.left, "left"), (self.right, "right")))  # fmt: skip
            product = Signal(self.o.shape(), name="product")
            m.d.comb += [product.eq(left * right), self.o.eq(later(m, product, self.stages - operands, "product"))]
            return m
        a, b = Signal(signed(OPERAND_BITS), name="a"), Signal(signed(OPERAND_BITS), name="b")
        make = {"ecp5": self._ecp5, "xilinx": self._xilinx}[self.make]
        m.submodules.block, found = make(a, b)
        # Operands of an ECP5's block stand at its upper ends: zeros below cost nothing there, while ten copies of each
        # factor's sign above it are 20 wires more into a block, of some 40, around which wires are scarce.
        up = [OPERAND_BITS - len(value) if self.make == "ecp5" else 0 for value in (self.left, self.right)]
        m.d.comb += [a.eq(self.left << up[0]), b.eq(self.right << up[1]), self.o.eq(found >> sum(up))]
        return m

    def _ecp5(self, a: Value, b: Value) -> tuple[Instance, Value]:
        used = {"INPUTA": self.stages > 1, "INPUTB": self.stages > 1, "PIPELINE": self.stages > 2, "OUTPUT": True}
        registers = {f"p_REG_{name}_CLK": "CLK0" if on else "NONE" for name, on in used.items()}
        ports = {"SIGNEDA": 1, "SIGNEDB": 1, "SOURCEA": 0, "SOURCEB": 0, "CE0": 1, "RST0": 0}
        bits = [Signal(name=f"p{k}") for k in range(36)]
        block = Instance(
            "MULT18X18D", **registers, p_GSR="DISABLED", i_CLK0=ClockSignal(),
            **{f"i_{name}": Const(value, 1) for name, value in ports.items()},
            **{f"i_{port}{k}": value[k] for port, value in (("A", a), ("B", b)) for k in range(18)},
            **{f"o_P{k}": bit for k, bit in enumerate(bits)},
        )  # fmt: skip
        return block, Cat(*bits)

    def _xilinx(self, a: Value, b: Value) -> tuple[Instance, Value]:
        operands, inside = int(self.stages > 1), int(self.stages > 2)
        registers = {"A": operands, "ACASC": operands, "B": operands, "BCASC": operands, "M": inside, "P": 1}
        registers |= dict.fromkeys(("AD", "ALUMODE", "CARRYIN", "CARRYINSEL", "C", "D", "INMODE", "OPMODE"), 0)
        enables = ["A1", "A2", "AD", "ALUMODE", "B1", "B2", "C", "CARRYIN", "CTRL", "D", "INMODE", "M", "P"]
        resets = ["A", "ALLCARRYIN", "ALUMODE", "B", "C", "CTRL", "D", "INMODE", "M", "P"]
        wide = {"C": 48, "D": 25, "ALUMODE": 4, "CARRYIN": 1, "CARRYINSEL": 3, "INMODE": 5}
        found = Signal(48, name="found")
        block = Instance(
            "DSP48E1", **{f"p_{name}REG": value for name, value in registers.items()}, i_CLK=ClockSignal(),
            i_A=Cat(a, a[-1].replicate(30 - len(a))), i_B=b, i_OPMODE=Const(0b000_01_01, 7), o_P=found,
            **{f"i_{name}": Const(0, bits) for name, bits in wide.items()},
            **{f"i_CE{name}": Const(name in ("A2", "B2", "M", "P"), 1) for name in enables},
            **{f"i_RST{name}": Const(0, 1) for name in resets},
        )  # fmt: skip
        return block, found


def product(
    m: Module, design: Design, left: Value, right: Value, shape: Shape, name: str, enable: Value | None = None
) -> Value:
    """left * right (signed), `engine.multiplier_stages` registers later, in a multiplier of the design's make.

    Portable ones give 0 for operands without `enable` and do not take these. A block's registers have a clock enable
    in common with those of its neighbours, so blocks multiply whatever comes: where 0 is wanted, an operand is 0.
    """
    stages = design.engine.multiplier_stages
    if design.multiplier == "portable":
        return multiplier(m, left, right, shape, stages, name, enable)
    return block_product(m, design.multiplier, left, right, shape, stages, name)


def post_product(m: Module, design: Design, left: Value, right: Value, shape: Shape, name: str) -> Value:
    """As `product`, for the post-process: `post_multiplier_stages` registers later. Factors may have no sign."""
    stages = design.post_multiplier_stages
    if design.multiplier == "portable":
        return multiplier(m, left, right, shape, stages, name)
    return block_product(m, design.multiplier, left, right, shape, stages, name)


def filter_product(m: Module, design: Design, left: Value, right: Value, shape: Shape, name: str) -> Value:
    """As `post_product`, for the filter of the post-process, whose multipliers may be adders (`filter_blocks` 0)."""
    if design.filter_blocks:
        return post_product(m, design, left, right, shape, name)
    return multiplier(m, left, right, shape, design.post_multiplier_stages, name, times=_added)


def _added(left: Value, right: Value) -> Value:
    """left * right (`right` signed) as a sum of shifted ones, of which no synthesiser makes a multiplier block."""
    *low, sign = (Mux(bit, left, 0) << k for k, bit in enumerate(right))
    return sum(low, start=Const(0)) - sign


def block_product(m: Module, make: str, left: Value, right: Value, shape: Shape, stages: int, name: str) -> Signal:
    """left * right in a `Block` of that make."""
    left_bits, right_bits = (len(value) + (not value.shape().signed) for value in (left, right))
    m.submodules[f"{name}_block"] = block = Block(make, left_bits, right_bits, stages)
    found = Signal(shape, name=name)
    m.d.comb += [block.left.eq(left), block.right.eq(right), found.eq(block.o)]
    return found


def hold(m: Module, design: Design, register: Value, act: Value, some: Value, exists: Value) -> None:
    """The register of an activation in front of multipliers: with gates, what is not `some` (there, and not 0) leaves
    it as it was; without, what does not exist is 0.
    """
    if design.gates_zeros:
        with m.If(some):
            m.d.sync += register.eq(act)
    else:
        m.d.sync += register.eq(Mux(exists, act, 0))
