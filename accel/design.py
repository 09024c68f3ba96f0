"""Design: the one frozen, validated value that compiler, simulator, cost model and hardware are built from.

A Design is read from YAML and written back to it. Every field that is wrong is reported with its name, its value,
what would be legal, and the line of the file.
"""

from __future__ import annotations

from math import gcd
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, Tag, ValidationError, model_validator

from accel import memories
from accel.memory_kinds import Memory, OnChip
from accel.models import yaml_text
from accel.models.errors import InputError
from accel.scale_sim import config
from accel.sections import Section, by_kind, field_at, legal_set, look_over

__all__ = ["Array", "Buffers", "Design", "Memory", "OnChip", "Technology", "Widths", "load", "names", "parse"]

LARGEST_SIDE = 64  # of an array, and lanes of an activation word
DESIGNS_FOLDER = Path(__file__).parent / "designs"


class Array(Section):
    """The multipliers. Of a systolic engine, `rows` is the reduction (input channel) side (`dataflow` os: output
    pixels) and `cols` the output channel side of the array; of a sparse one, `cols` are its PEs and `rows` the
    multipliers of each.

    `weight_rows` w must divide `rows`: the array is cut into w segments of R / w rows, each with an entry for weights
    of its own, so that the weights of a tile enter in R / w cycles. Where no weights are held (sparse, os) it is 1.
    """

    rows: int = Field(ge=1, le=64, description="rows R: input channels (sparse, os: output pixels side by side)")
    cols: int = Field(ge=1, le=64, description="columns C of PEs: output channels")
    weight_rows: int = Field(
        default=1,
        ge=1,
        le=64,
        description="weight rows w that enter in a cycle, a divisor of R; a weight word has w * C lanes",
    )


class Systolic(Section):
    """The engine of `kind` systolic: the `array`, weight-stationary (`dataflow` ws) or output-stationary (os).

    With os a PE holds a sum: the rows are R output pixels side by side, the columns C output channels, and a tile takes
    as many cycles as its sums have terms, while the sums of the tile before leave. Weights enter with the activations,
    one row a cycle: `weight_rows` must be 1, and `sparsity` none.

    `multiplier_stages`: registers of each multiplier. One is its product; with two the operands have registers of
    their own, with three the product another one: a faster clock, and as many cycles more until a sum is there.

    `sparsity` 2:4 makes activation words twice as wide as the array has rows, which must be an even number of at most
    32: where at most two of four weights along the input channels are not 0, two rows do the work of four.
    """

    kind: Literal["systolic"] = Field(default="systolic", description="what multiplies")
    dataflow: Literal["ws", "os"] = Field(
        default="ws", description="what stays in the array: weights (ws) or sums, that is outputs (os)"
    )
    multiplier_stages: int = Field(default=1, ge=1, le=3, description="registers of each multiplier of the array")
    sparsity: Literal["none", "2:4"] = Field(
        default="none", description="weights that the array skips: two zeros of each four input channels (2:4), or none"
    )


class Sparse(Section):
    """The engine of `kind` sparse: only weights that are not zero are kept and multiplied (EIE, arXiv 1602.01528).

    Activations are broadcast, a column of the layer's matrix at a time: one channel under one kernel position, of R =
    `array.rows` output pixels side by side; columns of zeros are skipped. Each of the C = `array.cols` PEs holds the
    weights of the output channels n = PE (mod C), has a queue of broadcasts, and R multipliers. R must be a power of
    two; R = 1 is EIE.
    """

    kind: Literal["sparse"] = Field(default="sparse", description="what multiplies")
    queue_depth: int = Field(default=8, ge=1, le=64, description="broadcasts F that wait in front of each PE")
    index_bits: int = Field(default=4, ge=1, le=8, description="bits of the longest run of zeros before a weight")
    pointers: int = Field(
        default=4096, ge=2, le=1 << 14, description="columns of weights on chip: each PE has a pointer to each"
    )
    word_factor: Literal[1, 2, 4] = Field(
        default=1, description="channels of an activation word: so many times the larger of R and C, but at most 64"
    )
    multiplier_stages: int = Field(default=1, ge=1, le=3, description="registers of each multiplier of a PE")


class Widths(Section):
    """Bit widths of the data path. Codes are int8; sums are `accumulator` bits and checked not to overflow."""

    activation: Literal[8] = Field(default=8, description="bits of an activation's code")
    weight: Literal[8] = Field(default=8, description="bits of a weight's code in the array")
    accumulator: int = Field(default=32, ge=20, le=32, description="bits of a sum of products")


class Buffers(Section):
    """On-chip memories. Activations and accumulators are each two equal banks; sizes are totals in bytes."""

    activation_bytes: int = Field(
        ge=64, le=1 << 24, description="both activation banks, in words of R bytes (2:4: of 2R)"
    )
    weight_bytes: int = Field(
        ge=64,
        le=1 << 24,
        description="weights on chip, in words of w * C bytes (2:4: of w * C times 10 bits; sparse: of C entries)",
    )
    accumulator_bytes: int = Field(
        ge=64, le=1 << 22, description="both accumulator banks, in words of C sums that count 4 bytes each"
    )
    parameter_bytes: int = Field(
        ge=64, le=1 << 20, description="biases and scales, in words of P channels of 8 bytes each"
    )
    program_commands: int = Field(
        default=64, ge=8, le=memories.LARGEST_PROGRAM, description="commands that wait on chip, 32 bytes each"
    )
    queue_commands: int = Field(
        default=4, ge=1, le=16, description="commands that wait in front of each unit; LOADs ahead of their data"
    )


class Technology(Section):
    """What the cost model prices."""

    node_nm: Literal[22, 32, 45, 65, 90] = Field(default=45, description="nm of memories and logic")
    sram_cell: Literal["itrs-lstp", "itrs-lop", "itrs-hp"] = Field(
        default="itrs-lop", description="CACTI's cell: low standby power, low operating power, high performance"
    )
    dram: Literal["lpddr3", "ddr3", "ddr4", "flat"] = Field(
        default="lpddr3",
        description="devices behind the AXI port, as many as it needs; flat: 640 pJ for 32 bits",
    )
    target: Literal["asic", "ecp5-25f", "ecp5-85f", "up5k", "xc7"] = Field(
        default="asic",
        description="what it is built in; an FPGA must reach clock_mhz (docs/synthesis.md)",
    )


class Design(Section):
    """One accelerator.

    `multiplier`: what engine and post-process multiply with. Portable multipliers are written as products, and zero
    operands leave those of the engine as they were; the blocks of FPGAs are instances, with the block's own registers
    (`engine.multiplier_stages` or `post_multiplier_stages` of them), and multiply whatever comes.

    `post_lanes` channels are requantised each cycle; it must divide `array.cols` and the channels of an activation
    word, which are `array.rows`, with a sparse engine the larger of both (default: the greatest common divisor). Each
    multiplier has `post_multiplier_stages` registers. `decoder_lanes` must divide the codes of a weight word,
    `array.weight_rows` times `array.cols`, and of a sparse engine its PEs, `array.cols`.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]+$", description="what tables and reports call it")
    engine: Annotated[Annotated[Systolic, Tag("systolic")] | Annotated[Sparse, Tag("sparse")], by_kind("systolic")] = (
        Systolic()
    )
    array: Array
    widths: Widths = Widths()
    buffers: Buffers
    post_lanes: int | None = Field(
        default=None, description="channels P requantised in a cycle; null: as many as can be"
    )
    decoder_lanes: int = Field(
        default=0,
        ge=0,
        le=256,
        description="codes of weights (sparse: entries) that are decoded in a cycle; 0: no decoder",
    )
    multiplier: Literal["portable", "ecp5", "xilinx"] = Field(
        default="portable",
        description="what is multiplied with: products, or an FPGA's MULT18X18D or DSP48E1",
    )
    memory_stages: int = Field(
        default=1,
        ge=1,
        le=2,
        description="registers of what engine and post-process read on chip: the memory's, one behind it",
    )
    post_multiplier_stages: int = Field(
        default=1, ge=1, le=3, description="registers of each multiplier of the post-process"
    )
    operand_products: Literal[0, 1] = Field(
        default=1, description="1: two activations can be multiplied (Mul, squeeze and excite); 0: that is refused"
    )
    codebooks: Literal[0, 1] = Field(
        default=1, description="1: weights can be looked up in a codebook (shared); 0: such layers run as dense ones"
    )
    tables: Literal[0, 1] = Field(
        default=1, description="1: the post-process has tables of any function (Sigmoid, HardSwish); 0: that is refused"
    )
    windows: Literal[0, 1] = Field(
        default=1,
        description="1: a first layer of few channels is unfolded as it is read; 0: it is read as words",
    )
    filter_multipliers: Literal[0, 3, 9] = Field(
        default=0,
        description="multipliers a post-process lane for depthwise 3 x 3: a row (3) or window (9) a cycle; 0: none",
    )
    filter_blocks: Literal[0, 1] = Field(
        default=1,
        description="1: these multipliers are what `multiplier` says; 0: adders of LUTs, if no block is left",
    )
    filter_side: Literal[3, 5] = Field(
        default=3, description="largest kernel of that; above 3 x 3 a window takes three times the cycles"
    )
    filter_line: int = Field(
        default=128, ge=8, le=1 << 11, description="columns of the line buffer of that, (filter_side - 1) P bytes each"
    )
    memory: Annotated[Annotated[Memory, Tag("axi")] | Annotated[OnChip, Tag("on-chip")], by_kind("axi")]
    reset: Literal["active-high", "active-low"] = Field(
        default="active-high", description="the synchronous reset of the Verilog: `rst` (active-high) or `rst_n`"
    )
    clock_mhz: float = Field(  # so slow that no time is too large for a float
        ge=0.001, le=5000, strict=False, description="makes time of cycles, and static energy of time"
    )
    technology: Technology = Technology()

    @model_validator(mode="after")
    def _check(self) -> Design:
        lanes, rows = self.post_lanes, self.array.rows
        if self.is_sparse and rows & rows - 1:
            raise ValueError(f"array.rows must be a power of two if the engine is sparse, not {rows}")
        if self.is_sparse and self.array.weight_rows > 1:
            raise ValueError(f"array.weight_rows must be 1 if the engine is sparse, not {self.array.weight_rows}")
        if self.output_stationary and self.array.weight_rows > 1:
            raise ValueError(f"array.weight_rows must be 1 where engine.dataflow is os, not {self.array.weight_rows}")
        if self.output_stationary and self.two_of_four:
            raise ValueError("engine.sparsity must be none where engine.dataflow is os, not 2:4")
        if lanes is not None and (lanes < 1 or self.word_lanes % lanes or self.cols % lanes):
            word = "array.rows" if self.word_lanes == rows else "the lanes of an activation word"
            raise ValueError(
                f"post_lanes must divide {word} {self.word_lanes} and array.cols {self.array.cols}, not {lanes}"
            )
        if self.two_of_four and (self.array.rows % 2 or self.word_lanes > LARGEST_SIDE):
            raise ValueError(
                f"array.rows must be even and at most {LARGEST_SIDE // 2} where engine.sparsity is 2:4, "
                f"not {self.array.rows}"
            )
        if self.array.rows % self.array.weight_rows:
            raise ValueError(
                f"array.weight_rows must divide array.rows {self.array.rows}, not {self.array.weight_rows}"
            )
        if self.filter_side > 3 and not self.filter_multipliers:
            raise ValueError("filter_multipliers must be 3 or 9 where filter_side is 5, not 0")
        codes = self.weight_codes
        if self.decoder_lanes and codes % self.decoder_lanes:
            raise ValueError(
                f"decoder_lanes must divide array.weight_rows * array.cols {codes}, not {self.decoder_lanes}"
            )
        for memory in (memories.ACTIVATION, memories.WEIGHT, memories.ACCUMULATOR, memories.PARAMETER):
            words, least = memory.words(self), 2 * memory.fold(self)
            if not least <= words <= memory.bank_words:
                raise ValueError(
                    f"buffers.{memory.buffer} must hold {least}..{memory.bank_words} words (per bank), not {words}: "
                    f"it is {getattr(self.buffers, str(memory.buffer))} bytes"
                )
        return self

    def __hash__(self) -> int:
        """Of a part of what makes designs equal: much is looked up by design, and a hash of all of it takes long."""
        return hash((*vars(self.array).values(), *vars(self.buffers).values(), *vars(self.memory).values()))

    # Derived sizes. A "word" is what one cycle reads: a row of lanes.

    @property
    def rows(self) -> int:
        """Array rows R: input channels of a weight-stationary array, else output pixels."""
        return self.array.rows

    @property
    def reset_port(self) -> str:
        """The name of the reset in the Verilog."""
        return "rst_n" if self.reset == "active-low" else "rst"

    @property
    def is_sparse(self) -> bool:
        """Whether the engine is of `kind` sparse."""
        return isinstance(self.engine, Sparse)

    @property
    def output_stationary(self) -> bool:
        """Whether sums stay in a systolic array while activations and weights pass."""
        return isinstance(self.engine, Systolic) and self.engine.dataflow == "os"

    @property
    def word_lanes(self) -> int:
        """Lanes of an activation word, which the engine takes in a cycle: channels, and bytes.

        R words bring a sparse engine `word_lanes` broadcasts at most: fewer if channels are few or columns are zero.
        """
        if self.engine.kind == "sparse":
            return min(LARGEST_SIDE, self.engine.word_factor * max(self.rows, self.cols))
        return self.rows * (2 if self.two_of_four else 1)

    @property
    def cols(self) -> int:
        """Array columns C, and lanes of an accumulator word."""
        return self.array.cols

    @property
    def weight_rows(self) -> int:
        """Weight rows w that enter the array in a cycle; a weight word has w * C lanes."""
        return self.array.weight_rows

    @property
    def weight_codes(self) -> int:
        """Codes of a weight row that enters the array in a cycle, w * C: each has a byte of a weight word."""
        return self.weight_rows * self.cols

    @property
    def fill_cycles(self) -> int:
        """Cycles R / w in which the weights of a tile (os: of a channel group and kernel position) enter the array."""
        return self.array.rows // self.array.weight_rows

    @property
    def two_of_four(self) -> bool:
        """Whether two rows of the array can do the work of four (`accel.structured`)."""
        return isinstance(self.engine, Systolic) and self.engine.sparsity == "2:4"

    @property
    def gates_zeros(self) -> bool:
        """Whether a zero operand leaves the engine's multipliers as they were."""
        return self.multiplier == "portable"

    @property
    def takes_beside(self) -> bool:
        """Whether the array can be given two kernel columns side by side (`ConfigCompute.beside`)."""
        held = isinstance(self.engine, Systolic) and not self.output_stationary and not self.two_of_four
        return held and self.rows % 2 == 0

    @property
    def lanes(self) -> int:
        """Post-process lanes P."""
        return self.post_lanes if self.post_lanes is not None else gcd(self.word_lanes, self.cols)

    @property
    def beat_bytes(self) -> int:
        """Bytes of an AXI beat, W."""
        return self.memory.axi_bits // 8

    @property
    def bytes_per_cycle(self) -> float:
        """Peak DRAM bandwidth."""
        return self.beat_bytes / self.memory.beat_interval_cycles

    @property
    def activation_words(self) -> int:
        """Words of `word_lanes` bytes in one of the two activation banks."""
        return memories.ACTIVATION.words(self)

    @property
    def weight_words(self) -> int:
        """Words of w * C bytes (of a sparse engine, C entries) in the weight buffer."""
        return memories.WEIGHT.words(self)

    @property
    def accumulator_words(self) -> int:
        """Words of C sums (4 bytes each) in one of the two accumulator banks."""
        return memories.ACCUMULATOR.words(self)

    @property
    def parameter_words(self) -> int:
        """Words of P records (8 bytes each) in the parameter buffer."""
        return memories.PARAMETER.words(self)

    def to_yaml(self) -> str:
        """The design as YAML, which `load` reads back to an equal value."""
        return yaml.safe_dump(self.model_dump(), sort_keys=False)


def problem(error: ValidationError) -> tuple[str, str]:
    """The dotted name of the first field that is wrong, and what is wrong with it, in our words."""
    first = error.errors()[0]
    if first["type"] == "value_error":
        name, _, rest = str(first["ctx"]["error"]).partition(" ")
        return name, rest
    name, info = field_at(Design, [str(part) for part in first["loc"]])
    if first["type"] == "missing":
        return name, "must be given, and is missing"
    return name, f"must be {legal_set(name.rpartition('.')[2], info)}, not {yaml_text.shown(first.get('input'))}"


def of_values(values: dict[str, Any]) -> Design | tuple[str, str]:
    """The Design of these fields, or the dotted name of the first that is wrong and what is wrong with it."""
    wrong = look_over(Design, values)
    if not wrong:
        try:
            return Design.model_validate(values)
        except ValidationError as error:
            wrong = problem(error)
    return wrong


def parse(text: str, where: str = "design") -> Design:
    """The Design in a YAML text. `where` names the source in errors.

    Raises InputError, one line that names field, value, legal set and line, for the first thing that is wrong.
    """
    values, lines = yaml_text.read(text, where, "a design")
    found = of_values(values)
    if isinstance(found, Design):
        return found
    name, message = found
    parts = name.split(".")
    while parts and ".".join(parts) not in lines:
        parts.pop()
    raise InputError(f"{name} {message} ({where}:{lines.get('.'.join(parts), 1)})")


def names() -> list[str]:
    """The designs that ship by name."""
    return sorted(path.stem for path in DESIGNS_FOLDER.glob("*.yaml"))


def load(name_or_path: str | Path) -> Design:
    """The design of that name, in that YAML file, or in that configuration (.cfg) of SCALE-Sim. Raises InputError."""
    path = Path(name_or_path)
    if path.suffix == config.SUFFIX:
        found = of_values(config.values(path))
        if isinstance(found, Design):
            return found
        raise InputError(config.message(path, *found))
    if str(name_or_path) in names():
        path = DESIGNS_FOLDER / f"{name_or_path}.yaml"
    try:
        text = yaml_text.load(path)
    except OSError as error:
        known = ", ".join(names())
        raise InputError(f"{name_or_path}: design must be one of {known} or a YAML file: {error.strerror}") from None
    return parse(text, path.name)
