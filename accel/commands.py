"""The command set: what the sequencer fetches from DRAM and the four units execute.

Every command is 256 bits, little-endian: the opcode in bits 3..0, then the fields in the order of the class, lowest
bit first, without gaps; the bits above the last field are zero. docs/formats.md describes what each field does;
`rtl/layouts.py` builds the hardware's view from these same classes.

Ordering. Each of the units load, compute, post and store executes its own commands in order. A command waits until
the other units have completed the number of commands that its `wait_*` fields say (counted since start; 0 = no wait;
configuration commands are not counted). This is decoupled access/execute with tokens, written as counts.

Addresses. DRAM addresses are byte offsets from the CSR's base. Buffer addresses are in words (see
`accel.layout`). An activation address is bank * 2**19 + word; an accumulator address is bank * 2**14 + word. Sums of
addresses and steps are modulo 2**19 (accumulator source of POST: 2**14) inside the bank that the command names; the
rows of LOAD and STORE are modulo 2**20, a row lies in one bank. An address that is used and lies outside its memory
stops the hardware with ErrorCode.BUFFER_RANGE.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import IntEnum
from typing import Any, ClassVar, TypeVar

COMMAND_BYTES = 32
OPCODE_BITS = 4
WAIT_BITS = 20
ACTIVATION_BANK = 1 << 19
ACCUMULATOR_BANK = 1 << 14


class Opcode(IntEnum):
    """Opcodes. Everything else stops the hardware with ErrorCode.OPCODE."""

    LOAD = 1
    CONFIG_COMPUTE = 2
    COMPUTE = 3
    CONFIG_POST = 4
    POST = 5
    STORE = 6
    END = 7
    NOP = 8


class Target(IntEnum):
    """Where a LOAD writes."""

    ACTIVATION = 0
    WEIGHT = 1
    PARAMETER = 2
    CODEBOOK = 3
    PROGRAM = 4


class ErrorCode(IntEnum):
    """What the CSR's error register holds when the hardware stopped by itself."""

    NONE = 0
    OPCODE = 1  # illegal opcode
    FIELD = 2  # a field has an illegal value (zero count, weight_bits not 1..8, unknown target)
    DRAM_RANGE = 3  # a burst would leave [0, DRAM_SIZE), or its address 32 bits
    BUFFER_RANGE = 4  # an address outside an on-chip memory (nothing that follows from it is written)
    AXI_RESPONSE = 5  # SLVERR or DECERR
    TIMEOUT = 6  # nothing happened for WATCHDOG cycles: commands wait for what never comes
    PROGRAM_OVERFLOW = 7  # a fetch brought more commands than the program buffer holds
    ABORTED = 8  # CONTROL asked for it


def _bits(bits: int, signed: bool = False, default: int = 0) -> Any:
    return field(default=default, metadata={"bits": bits, "signed": signed})


@dataclass(frozen=True)
class Command:
    """Base of all commands. Fields out of range raise ValueError when the command is made."""

    OPCODE: ClassVar[Opcode]

    def __post_init__(self) -> None:
        for f in fields(self):
            bits, signed, value = f.metadata["bits"], f.metadata["signed"], getattr(self, f.name)
            low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
            if not low <= value <= high:
                raise ValueError(f"{type(self).__name__}.{f.name} must be {low}..{high}, not {value}")

    def encode(self) -> bytes:
        """The 32 bytes that DRAM holds."""
        word, at = int(self.OPCODE), OPCODE_BITS
        for f in fields(self):
            word |= (int(getattr(self, f.name)) & (1 << f.metadata["bits"]) - 1) << at
            at += f.metadata["bits"]
        return word.to_bytes(COMMAND_BYTES, "little")


@dataclass(frozen=True)
class Load(Command):
    """DRAM to a buffer: `rows` rows of `row_beats` beats, `dram_pitch` bytes and `dst_pitch` words apart.

    Plain (`window` = 0): a row's beats are cut into words of the target's DRAM stride, written to ascending addresses.
    Window mode (`window` = 1, activations only): a row is a string of bytes, the first `skip_bytes` of which are
    dropped; word i of the row (i < `row_words`) gets bytes [i * step, i * step + run) in its lanes
    [lane, lane + run); its other lanes are not written.
    """

    OPCODE: ClassVar[Opcode] = Opcode.LOAD
    wait_compute: int = _bits(WAIT_BITS)
    wait_post: int = _bits(WAIT_BITS)
    wait_store: int = _bits(WAIT_BITS)
    dram_addr: int = _bits(32)
    target: int = _bits(3)
    dst_addr: int = _bits(20)
    row_beats: int = _bits(16, default=1)
    rows: int = _bits(12, default=1)
    dram_pitch: int = _bits(28)
    dst_pitch: int = _bits(20)
    window: int = _bits(1)
    run: int = _bits(7)
    step: int = _bits(9)
    lane: int = _bits(6)
    row_words: int = _bits(14)
    skip_bytes: int = _bits(6)


@dataclass(frozen=True)
class ConfigCompute(Command):
    """Geometry of the tensor that COMPUTE commands read, until the next CONFIG_COMPUTE.

    Steps are in words: `plane` between channel groups, `row_step` = stride_y * row pitch, `tap_row_step` = dilation_y *
    row pitch. `pad_value` (an int8 code) is streamed for positions outside `in_h` x `in_w`.
    """

    OPCODE: ClassVar[Opcode] = Opcode.CONFIG_COMPUTE
    plane: int = _bits(20)
    row_step: int = _bits(20)
    tap_row_step: int = _bits(20)
    stride_x: int = _bits(4, default=1)
    stride_y: int = _bits(4, default=1)
    dilation_x: int = _bits(6, default=1)
    dilation_y: int = _bits(6, default=1)
    kernel_h: int = _bits(7, default=1)
    kernel_w: int = _bits(7, default=1)
    in_h: int = _bits(12, default=1)
    in_w: int = _bits(12, default=1)
    pad_value: int = _bits(8, signed=True)


@dataclass(frozen=True)
class Compute(Command):
    """Stream a block of `out_h` x `out_w` output pixels through `n_tiles` x `groups` x kernel weight tiles.

    for n in n_tiles, g in groups, ky in kernel_h, kx in kernel_w:           (one weight tile of R x C each)
        for oy in out_h, ox in out_w:                                        (T = out_h * out_w cycles)
            iy = iy0 + ky * dilation_y + oy * stride_y;  ix likewise
            word = act_addr + g * plane + ky * tap_row_step + kx * dilation_x + oy * row_step + ox * stride_x
            acc[acc_addr + n * T + oy * out_w + ox] (+)= weights_tile.T @ activations[word]   (or pad_value)

    `act_addr` is the word of (iy0, ix0) of group 0 (modulo 2**19 inside its bank: it may lie before the tensor).
    The first (g, ky, kx) overwrites the sum unless `accumulate`. `rows_last`: valid lanes of the last group (the
    other rows are gated); `cols_last`: valid columns of the last n tile (counted as gated). Weights come from the
    weight buffer at `weight_addr`, as column bit-streams of `weight_bits` (docs/formats.md), through codebook
    `codebook_bank` if `use_codebook`.
    """

    OPCODE: ClassVar[Opcode] = Opcode.COMPUTE
    wait_load: int = _bits(WAIT_BITS)
    wait_post: int = _bits(WAIT_BITS)
    wait_store: int = _bits(WAIT_BITS)
    act_addr: int = _bits(20)
    iy0: int = _bits(13, signed=True)
    ix0: int = _bits(13, signed=True)
    out_h: int = _bits(12, default=1)
    out_w: int = _bits(12, default=1)
    groups: int = _bits(14, default=1)
    n_tiles: int = _bits(10, default=1)
    weight_addr: int = _bits(18)
    weight_bits: int = _bits(4, default=8)
    use_codebook: int = _bits(1)
    codebook_bank: int = _bits(1)
    acc_addr: int = _bits(15)
    accumulate: int = _bits(1)
    rows_last: int = _bits(7, default=1)
    cols_last: int = _bits(7, default=1)


@dataclass(frozen=True)
class ConfigPost(Command):
    """Geometry and scalars of POST commands, until the next CONFIG_POST. The unit drains before it takes effect.

    Source steps: `src_row_pitch` per source row, `src_plane` per channel group (activation source) or per n tile
    (accumulator source); `src_row_step` = stride_y * src_row_pitch. `in_h` x `in_w` bound the window in the source.
    `uniform_*` is the record used by POST commands with `uniform` set.
    """

    OPCODE: ClassVar[Opcode] = Opcode.CONFIG_POST
    src_row_step: int = _bits(20)
    src_row_pitch: int = _bits(16)
    src_plane: int = _bits(20)
    win_h: int = _bits(7, default=1)
    win_w: int = _bits(7, default=1)
    stride_y: int = _bits(5, default=1)
    stride_x: int = _bits(5, default=1)
    dst_row_pitch: int = _bits(16)
    dst_plane: int = _bits(20)
    in_h: int = _bits(12, default=1)
    in_w: int = _bits(12, default=1)
    zero_point: int = _bits(8, signed=True)
    low: int = _bits(8, signed=True, default=-128)
    high: int = _bits(8, signed=True, default=127)
    res_multiplier: int = _bits(16)
    res_shift: int = _bits(6)
    res_zero_point: int = _bits(8, signed=True)
    uniform_bias: int = _bits(32, signed=True)
    uniform_multiplier: int = _bits(16)
    uniform_shift: int = _bits(6)


@dataclass(frozen=True)
class Post(Command):
    """Reduce windows, requantise, write activations: `out_h` x `out_w` pixels of `chunks` chunks of P channels.

    for q in chunks, oy in out_h, ox in out_w:
        for wy in win_h, wx in win_w:  iy = iy0 + oy * stride_y + wy;  ix likewise; skipped if outside in_h x in_w
            accumulator source: chunk q % (C/P) of acc[src_addr + (q // (C/P)) * src_plane + offset]
            activation source:  chunk s % (R/P) of act[src_addr + (s // (R/P)) * src_plane + offset], s = src_chunk + q
            with offset = oy * src_row_step + wy * src_row_pitch + ox * stride_x + wx
        v = max or sum over the window (an element outside contributes nothing to max, res_zero_point to sum)
        y = round_shift((v + bias) * multiplier, shift) + zero_point  with the record param_addr + q, or the uniform one
        y += round_shift((act[res_addr + same offset as the output] - res_zero_point) * res_multiplier, res_shift)
        act[dst_addr + (d // (R/P)) * dst_plane + oy * dst_row_pitch + ox] chunk d % (R/P) = clip(y, low, high),
                                d = dst_chunk + q

    `src_addr` is the word of (iy0, ix0), modulo the bank's size: it may lie before the tensor. `residual` reads the
    operand with the destination's pitches. A sum has no residual (res_zero_point is its pad value). A maximum over a
    window that is all outside is -2**31.
    """

    OPCODE: ClassVar[Opcode] = Opcode.POST
    wait_load: int = _bits(WAIT_BITS)
    wait_compute: int = _bits(WAIT_BITS)
    wait_store: int = _bits(WAIT_BITS)
    from_activation: int = _bits(1)
    src_addr: int = _bits(20)
    src_chunk: int = _bits(6)
    reduce_sum: int = _bits(1)
    residual: int = _bits(1)
    uniform: int = _bits(1)
    iy0: int = _bits(13, signed=True)
    ix0: int = _bits(13, signed=True)
    out_h: int = _bits(12, default=1)
    out_w: int = _bits(12, default=1)
    dst_addr: int = _bits(20)
    dst_chunk: int = _bits(6)
    chunks: int = _bits(12, default=1)
    param_addr: int = _bits(14)
    res_addr: int = _bits(20)


@dataclass(frozen=True)
class Store(Command):
    """An activation bank to DRAM: `rows` rows of `row_words` words, `src_pitch` words and `dram_pitch` bytes apart.

    A row fills whole beats: when a beat holds several words and the last is not full, it is filled with zeros.
    """

    OPCODE: ClassVar[Opcode] = Opcode.STORE
    wait_load: int = _bits(WAIT_BITS)
    wait_compute: int = _bits(WAIT_BITS)
    wait_post: int = _bits(WAIT_BITS)
    dram_addr: int = _bits(32)
    src_addr: int = _bits(20)
    row_words: int = _bits(16, default=1)
    rows: int = _bits(12, default=1)
    dram_pitch: int = _bits(28)
    src_pitch: int = _bits(20)


@dataclass(frozen=True)
class End(Command):
    """The program ends when all units are idle: done is raised."""

    OPCODE: ClassVar[Opcode] = Opcode.END


@dataclass(frozen=True)
class Nop(Command):
    """Nothing: fills the last beat of a fetch when a beat holds two commands."""

    OPCODE: ClassVar[Opcode] = Opcode.NOP


COMMANDS: dict[Opcode, type[Command]] = {
    c.OPCODE: c for c in (Load, ConfigCompute, Compute, ConfigPost, Post, Store, End, Nop)
}
C = TypeVar("C", bound=Command)


def used_bits(command: type[Command]) -> int:
    """Bits of a command, opcode included."""
    return OPCODE_BITS + sum(f.metadata["bits"] for f in fields(command))


def decode(word: bytes) -> Command:
    """The command in 32 bytes. Raises ValueError if the opcode is illegal or an unused bit is set."""
    value = int.from_bytes(word, "little")
    opcode = value & (1 << OPCODE_BITS) - 1
    if opcode not in COMMANDS:
        raise ValueError(f"opcode must be one of {sorted(int(o) for o in COMMANDS)}, not {opcode}")
    cls = COMMANDS[Opcode(opcode)]
    at, arguments = OPCODE_BITS, {}
    for f in fields(cls):
        bits = f.metadata["bits"]
        raw = value >> at & (1 << bits) - 1
        arguments[f.name] = raw - (1 << bits) if f.metadata["signed"] and raw >> bits - 1 else raw
        at += bits
    if value >> at:
        raise ValueError(f"{cls.__name__}: the bits above {at} must be zero")
    return cls(**arguments)


for _command in COMMANDS.values():
    assert used_bits(_command) <= 8 * COMMAND_BYTES, (_command, used_bits(_command))
