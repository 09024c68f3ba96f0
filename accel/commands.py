"""The command set: what the sequencer fetches from DRAM and the four units execute.

Every command is 256 bits, little-endian: the opcode in bits 3..0, then the fields in the order of the class, lowest
bit first, without gaps; the bits above the last field are zero. `rtl/layouts.py` builds the hardware's view from these
classes, and docs/formats.md prints what is written here: this text, the docstrings, the text of each field, and what
`accel.legal` says is illegal.

Ordering. Each of the units load, compute, post and store executes its own commands in order. A command waits until
the other units have completed the number of commands that its `wait_*` fields say (counted since start; 0 = no wait;
configuration commands are not counted, the hardware's own fetch is the first LOAD). This is decoupled access/execute
with tokens, written as counts.

Addresses. DRAM addresses are byte offsets from the CSR's base; those of the network's inputs and outputs are moved by
INPUT_MOVE and OUTPUT_MOVE, which grow from image to image of a run. Buffer addresses are in words (see
`accel.layout`). An activation address is bank * 2**19 + word; an accumulator address is bank * 2**14 + word. Sums of
addresses and steps are modulo 2**19 (accumulator source of POST: 2**14) inside the bank that the command names; the
rows of LOAD and STORE are modulo 2**20, a row lies in one bank. An address that is used and lies outside its memory
stops the hardware with ErrorCode.BUFFER_RANGE.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import IntEnum
from typing import Any, ClassVar

COMMAND_BYTES = 32
OPCODE_BITS = 4
WAIT_BITS = 20


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


class _Explained(IntEnum):
    """Numbers with a text that the documentation prints."""

    text: str

    def __new__(cls, value: int, text: str = "") -> _Explained:
        member = int.__new__(cls, value)
        member._value_ = value
        member.text = text
        return member


class Target(_Explained):
    """Where a LOAD writes."""

    ACTIVATION = 0, "activation banks (bit 19 of the address is the bank), words of R bytes"
    WEIGHT = 1, "weight buffer, words of w * C bytes (sparse engine: they are unpacked to rows of C entries)"
    PARAMETER = 2, "parameter buffer, words of P records of 8 bytes"
    CODEBOOK = 3, "codebooks, words of one entry: bank 0 at 0..255, bank 1 at 256..511"
    PROGRAM = 4, "program buffer, commands of 32 bytes; it is a FIFO, dst_addr has no meaning"
    RUN_TABLE = 5, "code table of runs, words of four bytes (see Coded weights)"
    VALUE_TABLE = 6, "code table of values, words of four bytes"
    TABLE = 7, "tables of the post-process, words of four codes: bank 0 at 0..63, bank 1 at 64..127"


class ErrorCode(_Explained):
    """What the CSR's error register holds when the hardware stopped by itself."""

    NONE = 0, "no error"
    OPCODE = 1, "a command with an illegal opcode"
    FIELD = 2, "a command with an illegal field, or before the configuration that it needs"
    DRAM_RANGE = (
        3,
        "a burst would have left DRAM_SIZE, or had an address with more bits than there are; it was not issued",
    )
    BUFFER_RANGE = 4, "an address outside an on-chip memory; nothing that follows from it was written"
    AXI_RESPONSE = 5, "the memory answered SLVERR or DECERR"
    TIMEOUT = 6, "nothing happened for WATCHDOG cycles: commands wait for what never comes"
    PROGRAM_OVERFLOW = 7, "a fetch brought more commands than the program buffer holds"
    ABORTED = 8, "bit 1 of CONTROL was written"
    WEIGHTS = 9, "damaged weights: an index past its column, an entry past its block, or columns that are missing"
    STREAM = 10, "a coded LOAD is damaged, too short or too long, or its code tables are no complete codes"


def _bits(bits: int, text: str, signed: bool = False, default: int = 0) -> Any:
    """A field and what it means, in the words of docs/formats.md."""
    return field(default=default, metadata={"bits": bits, "signed": signed, "text": text})


def _wait(unit: str) -> Any:
    return _bits(WAIT_BITS, f"starts when so many {unit} commands are complete")


@dataclass(frozen=True)
class Command:
    """Base of all commands. Fields out of range raise ValueError when the command is made."""

    OPCODE: ClassVar[Opcode]

    def __post_init__(self) -> None:
        values = self.__dict__
        for name, low, high in _ranges(type(self)):
            if not low <= values[name] <= high:
                raise ValueError(f"{type(self).__name__}.{name} must be {low}..{high}, not {values[name]}")

    def encode(self) -> bytes:
        """The 32 bytes that DRAM holds."""
        word, at = int(self.OPCODE), OPCODE_BITS
        for f in fields(self):
            word |= (int(getattr(self, f.name)) & (1 << f.metadata["bits"]) - 1) << at
            at += f.metadata["bits"]
        return word.to_bytes(COMMAND_BYTES, "little")


_known_ranges: dict[type[Command], tuple[tuple[str, int, int], ...]] = {}


def _ranges(command: type[Command]) -> tuple[tuple[str, int, int], ...]:
    """Name, smallest and largest value of each field."""
    if command not in _known_ranges:
        found = []
        for f in fields(command):
            bits, signed = f.metadata["bits"], f.metadata["signed"]
            low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
            found.append((f.name, low, high))
        _known_ranges[command] = tuple(found)
    return _known_ranges[command]


def least(command: type[Command], name: str) -> int:
    """The smallest value that a field holds."""
    return next(low for field_name, low, _ in _ranges(command) if field_name == name)


def most(command: type[Command], name: str) -> int:
    """The largest value that a field holds: where every limit of compiler and hardware comes from."""
    return next(high for field_name, _, high in _ranges(command) if field_name == name)


def field_bits(command: type[Command], name: str) -> int:
    """Bits of a field."""
    return (most(command, name) - least(command, name)).bit_length()


@dataclass(frozen=True)
class Load(Command):
    """DRAM to a buffer: `rows` rows of `row_beats` beats, `dram_pitch` bytes and `dst_pitch` words apart.

    Plain (`window` = 0): a row's beats are cut into words of the target's DRAM stride, written to ascending addresses.
    Window mode (`window` = 1, activations only): a row is a string of bytes, the first `skip_bytes` of which are
    dropped, and makes `row_words` words of `run` bytes, `parts` + 1 for each pixel: with i = x * (parts + 1) + p,
    word i gets the bytes from x * step + p * run on. m = `zero_code` rows stand side by side in the lanes of a word,
    and s = `code_bits` rows lie between two such windows: row y * s + k (k < m) goes to the lanes from lane + k * run
    on of the words from dst_addr + y * dst_pitch on, for every y, 0 first, while y = 0 or (y - 1) * s + m < rows.
    So a row may be written several times; it is read once. Lanes that are not written, or beyond R, keep what they
    had. A word that a row has not all bytes of is not written, nor is one behind it.

    Entries (weights of a sparse engine; one row): words of C bytes are C bit streams of entries ("Sparse weights" in
    docs/formats.md) with runs of `run` bits and values of `step` bits. Each row of entries is written to the next word
    from `dst_addr` on; where an entry begins a column of its PE, its word is written to that PE's pointers, from
    `dst_pitch` on. A PE has `row_words` columns; what follows them fills up.
    Coded (`coded` = 1, weights only): the row is a stream that the decoder makes `dst_pitch` rows of codes of
    ("Coded weights" in docs/formats.md), which are written as the words that they would be without the code. On a
    sparse engine it makes entries ("Coded entries"), of columns of `step` tiles, and no PE gets more than `dram_pitch`.
    """

    OPCODE: ClassVar[Opcode] = Opcode.LOAD
    wait_compute: int = _wait("COMPUTE")
    wait_post: int = _wait("POST")
    wait_store: int = _wait("STORE")
    dram_addr: int = _bits(32, "byte offset of the first row from DRAM_BASE")
    target: int = _bits(3, "memory that is written (see above)")
    dst_addr: int = _bits(20, "word of the first row")
    row_beats: int = _bits(16, "beats of a row", default=1)
    rows: int = _bits(12, "rows", default=1)
    dram_pitch: int = _bits(28, "bytes from one row to the next in DRAM; coded entries: entries of a PE at most")
    dst_pitch: int = _bits(
        20, "words from one row to the next in the target; entries: the first pointer; other coded: rows of codes"
    )
    window: int = _bits(1, "window mode")
    run: int = _bits(7, "window: bytes of a word; entries: bits of a run")
    step: int = _bits(
        9,
        "window: bytes from the first byte of a word to that of the next; entries: bits of a value; "
        "coded entries: tiles, so weights of a PE in a column",
    )
    lane: int = _bits(6, "window: first lane that is written")
    row_words: int = _bits(14, "window: words of a row; entries: columns of a PE")
    skip_bytes: int = _bits(6, "window: bytes of each row that are dropped first")
    coded: int = _bits(1, "coded: the row goes through the decoder")
    continues: int = _bits(
        1, "coded: the stream goes on where the coded LOAD before this one ended; else 1: moved by INPUT_MOVE"
    )
    literal: int = _bits(1, "coded: what the bytes of runs say; else 1: moved by OUTPUT_MOVE, unless continues")
    zero_code: int = _bits(
        8, "coded: the code that runs of zeros stand for; window: rows side by side in the lanes of a word"
    )
    code_bits: int = _bits(4, "coded: bits of a code; window: rows from one window to the next")
    parts: int = _bits(3, "window: words of a pixel, less one")


@dataclass(frozen=True)
class ConfigCompute(Command):
    """Geometry of the tensor that COMPUTE commands read, until the next CONFIG_COMPUTE."""

    OPCODE: ClassVar[Opcode] = Opcode.CONFIG_COMPUTE
    plane: int = _bits(20, "words from one channel group to the next")
    row_step: int = _bits(20, "stride_y * row pitch, in words")
    tap_row_step: int = _bits(20, "dilation_y * row pitch, in words")
    stride_x: int = _bits(4, "columns from one output pixel to the next", default=1)
    stride_y: int = _bits(4, "rows from one output pixel to the next", default=1)
    dilation_x: int = _bits(6, "columns from one kernel position to the next", default=1)
    dilation_y: int = _bits(6, "rows from one kernel position to the next", default=1)
    kernel_h: int = _bits(7, "kernel rows", default=1)
    kernel_w: int = _bits(7, "kernel columns", default=1)
    in_h: int = _bits(12, "rows of the tensor", default=1)
    in_w: int = _bits(12, "columns of the tensor", default=1)
    pad_value: int = _bits(8, "code that is streamed for positions outside in_h x in_w", signed=True)
    beside: int = _bits(1, "1: two kernel columns in one tile, the right one in the upper half of the lanes")


@dataclass(frozen=True)
class Compute(Command):
    """Stream a block of `out_h` x `out_w` output pixels through `n_tiles` x `groups` x kernel weight tiles.

    for n in n_tiles, g in groups, ky in kernel_h, kx in kernel_w:    (a weight tile of R x C each; two halves on
                                                                       2:4 designs unless `structured`)
        for oy in out_h, ox in out_w:                                        (T = out_h * out_w cycles)
            iy = iy0 + ky * dilation_y + oy * stride_y;  ix likewise
            word = act_addr + g * plane + ky * tap_row_step + kx * dilation_x + oy * row_step + ox * stride_x
            acc[acc_addr + n * T + oy * out_w + ox] (+)= weights_tile.T @ activations[word]   (or pad_value)

    The first (g, ky, kx) overwrites the sum unless `accumulate`. Lanes that the last group does not have count as 0,
    whatever their weights. Weights come from the weight buffer as column bit-streams ("Weights" in docs/formats.md).
    A sum is there for the next command REUSE_CYCLES after its pixel: one that accumulates must not read it earlier.
    With `beside` in the configuration, a pixel's activations are the lower half of its word in the lower half of the
    lanes, and the lower half of the word one column to the right in the upper half. Words are read once: each row of
    outputs takes a cycle more, in which its first word waits for the next one (T = out_h * (out_w + 1)).
    Where outputs stay in the array (`dataflow` os) the same sums are made in another order: for each block of R pixels
    (in row-major order) and n one tile of R x C of them, whose terms g, ky, kx and lane are added up in the array.

    A sparse engine adds up the same products but those with a weight that is not there, in another order: for each
    block of R pixels (in row-major order), g, ky, kx and lane one broadcast of the activations less `pad_value`, unless
    all R are 0; each PE multiplies it by the entries of that column. `weight_addr` and `entries` say where those are,
    `pointer_addr` where the pointers to columns begin, in the order of (g, ky, kx, lane). Sums of an output tile begin
    R * 2**acc_shift words after those of the tile before, and so many are cleared for each tile unless `accumulate`.
    """

    OPCODE: ClassVar[Opcode] = Opcode.COMPUTE
    wait_load: int = _wait("LOAD")
    wait_post: int = _wait("POST")
    wait_store: int = _wait("STORE")
    act_addr: int = _bits(20, "word of (iy0, ix0) in group 0; it may lie before the tensor")
    iy0: int = _bits(13, "row of the first output pixel's first kernel position; may be padding", signed=True)
    ix0: int = _bits(13, "column of it", signed=True)
    out_h: int = _bits(12, "output rows", default=1)
    out_w: int = _bits(12, "output columns", default=1)
    groups: int = _bits(14, "channel groups of R input channels", default=1)
    n_tiles: int = _bits(10, "tiles of C output channels", default=1)
    weight_addr: int = _bits(18, "first word of the weights")
    weight_bits: int = _bits(4, "bits of a weight's code", default=8)
    use_codebook: int = _bits(1, "codes go through the codebook; else they are the weights")
    codebook_bank: int = _bits(1, "which of the two codebooks")
    acc_addr: int = _bits(15, "word of the first sum; bit 14 is the bank")
    accumulate: int = _bits(1, "1: add to what is there; 0: the first (g, ky, kx) overwrites it")
    rows_last: int = _bits(7, "valid lanes of the last group; the other rows are gated", default=1)
    cols_last: int = _bits(7, "valid columns of the last n tile; the others are counted as gated", default=1)
    entries: int = _bits(18, "sparse: words of entries from weight_addr on")
    pointer_addr: int = _bits(14, "sparse: word of the first column's pointers")
    acc_shift: int = _bits(4, "sparse: log2 of blocks of R sums from one n tile to the next")
    structured: int = _bits(1, "weights are 2:4: their codes have an index of 2 bits above, and a group is one tile")


@dataclass(frozen=True)
class ConfigPost(Command):
    """Geometry and scalars of POST commands, until the next CONFIG_POST. The unit drains before it takes effect."""

    OPCODE: ClassVar[Opcode] = Opcode.CONFIG_POST
    src_row_step: int = _bits(20, "stride_y * src_row_pitch, in words")
    src_row_pitch: int = _bits(16, "words from one source row to the next")
    src_plane: int = _bits(20, "words from one channel group (accumulator source: n tile) to the next")
    win_h: int = _bits(7, "window rows", default=1)
    win_w: int = _bits(7, "window columns", default=1)
    stride_y: int = _bits(5, "source rows from one window to the next", default=1)
    stride_x: int = _bits(5, "source columns from one window to the next", default=1)
    dst_row_pitch: int = _bits(16, "words from one output row to the next")
    dst_plane: int = _bits(20, "words from one channel group of the output to the next")
    in_h: int = _bits(12, "source rows: elements outside are skipped", default=1)
    in_w: int = _bits(12, "source columns", default=1)
    zero_point: int = _bits(8, "zero point of the output", signed=True)
    low: int = _bits(8, "lower clip of the output", signed=True, default=-128)
    high: int = _bits(8, "upper clip of the output", signed=True, default=127)
    res_multiplier: int = _bits(16, "multiplier of the residual operand")
    res_shift: int = _bits(6, "shift of the residual operand")
    res_zero_point: int = _bits(
        8, "zero point of the residual operand; for sums what elements outside contribute", signed=True
    )
    uniform_bias: int = _bits(32, "bias of the record for commands with `uniform`", signed=True)
    uniform_multiplier: int = _bits(16, "multiplier of that record")
    uniform_shift: int = _bits(6, "shift of that record")
    table: int = _bits(1, "outputs are looked up in a table after the clip")
    table_bank: int = _bits(1, "which of the two tables")
    multiply: int = _bits(1, "the residual operand is multiplied instead of added")
    subtract: int = _bits(1, "the residual operand is subtracted: its sign is turned")


@dataclass(frozen=True)
class Post(Command):
    """Reduce windows, requantise, write activations: `out_h` x `out_w` pixels of `chunks` chunks of P channels.

    for q in chunks, oy in out_h, ox in out_w:
        for wy in win_h, wx in win_w:  iy = iy0 + oy * stride_y + wy;  ix likewise; skipped if outside in_h x in_w
            accumulator source: chunk s % (C/P) of acc[src_addr + (s // (C/P)) * src_plane + offset], s = src_chunk + q
            activation source:  chunk s % (R/P) of act[src_addr + (s // (R/P)) * src_plane + offset]
            with offset = oy * src_row_step + wy * src_row_pitch + ox * stride_x + wx
        v = max or sum over the window (an element outside contributes nothing to max, res_zero_point to sum)
        y = round_shift((v + bias) * multiplier, shift) + zero_point  with the record param_addr + q, or the uniform one
        r = act[res_addr + same offset as the output] - res_zero_point     (with `subtract` -r; 0 without `residual`)
            (with `res_plane` the offset is (d // (R/P)) * res_plane)
        y += round_shift(r * res_multiplier, res_shift)
        with `multiply` instead y = round_shift((v + bias) * r * multiplier, shift) + zero_point, by the uniform record
        act[dst_addr + (d // (R/P)) * dst_plane + oy * dst_row_pitch + ox * dst_step] chunk d % (R/P) =
                                clip(y, low, high), d = dst_chunk + q
                                (with `table` entry clip(y, low, high) + 128 of bank `table_bank`)

    With `filter` (activation source, sums) v is weighted, and a window is 3 x 3 (1) or 5 x 5 (2) whatever win_h and
    win_w say:
        v = sum over wy, wx of tap[q, wy, wx] * (the element, or res_zero_point outside)
    Records and taps of chunk q are the n words from param_addr + n q on, n = 2 or 4 ("Parameter words" in
    docs/formats.md). The `stream_h` x `stream_w` pixels from max(iy0, 0), max(ix0, 0) on, the first of which is at
    src_addr, pass a line buffer, each once a chunk, those outside unread. All that windows have inside in_h x in_w
    must be among them, and stream_w at least (out_w - 1) * stride_x + 1, stream_h likewise: else outputs are missing
    or mean nothing.

    A sum has no residual (res_zero_point is its pad value) and 32 bits. A maximum over a window that is all outside is
    -2**31. Of v + bias the lowest 17 bits are multiplied by r. What a POST writes in its last post_cycles (with `table`
    `memory_stages` more, with `multiply` `post_multiplier_stages` more) is not there for the next one, but with a
    CONFIG_POST between. Outputs may be written over their operands, but no operand may be read in a cycle in which
    another chunk of its word is written, so many cycles after that one's own operand was read.
    """

    OPCODE: ClassVar[Opcode] = Opcode.POST
    wait_load: int = _wait("LOAD")
    wait_compute: int = _wait("COMPUTE")
    wait_store: int = _wait("STORE")
    from_activation: int = _bits(1, "source: 1 the activation banks, 0 the accumulators")
    src_addr: int = _bits(20, "word of (iy0, ix0); it may lie before the tensor. Bit 19 (accumulators: 14) is the bank")
    src_chunk: int = _bits(6, "chunk of the word at src_addr at which it begins")
    reduce_sum: int = _bits(1, "1: sum over the window; 0: maximum")
    residual: int = _bits(1, "add the word at res_addr")
    uniform: int = _bits(1, "the configuration's record for all channels, instead of those at param_addr")
    iy0: int = _bits(13, "source row of the first window's first element; may be padding", signed=True)
    ix0: int = _bits(13, "source column of it", signed=True)
    out_h: int = _bits(12, "output rows", default=1)
    out_w: int = _bits(12, "output columns", default=1)
    dst_addr: int = _bits(20, "word of the first output")
    dst_chunk: int = _bits(6, "chunk of that word at which the output begins")
    chunks: int = _bits(12, "chunks of P channels", default=1)
    param_addr: int = _bits(14, "word of the first chunk's records")
    res_addr: int = _bits(20, "word of the first residual operand, which has the output's pitches")
    dst_step: int = _bits(6, "words from one output column to the next", default=1)
    filter: int = _bits(2, "1, 2: weighted sums over 3 x 3, 5 x 5 windows, by the line buffer")
    stream_h: int = _bits(12, "filter: rows of the source that pass a chunk")
    stream_w: int = _bits(12, "filter: columns of a row that pass")
    res_plane: int = _bits(7, "not 0: the residual operand is one pixel, in words this far apart")


@dataclass(frozen=True)
class Store(Command):
    """An activation bank to DRAM: `rows` rows of `row_words` words, `src_pitch` words and `dram_pitch` bytes apart.

    A row fills whole beats: when a beat holds several words and the last is not full, it is filled with zeros; so are
    the bytes between words. What a tensor does not have is not written (its bytes have no strobes, and DRAM keeps what
    it held): of the words from number `full_words` of the command on, which are those of the last channel group, the
    last `unused_lanes` lanes; and the last `gap_words` of every `line_words` words, which only fill up the last beat of
    a line of pixels.
    """

    OPCODE: ClassVar[Opcode] = Opcode.STORE
    wait_load: int = _wait("LOAD")
    wait_compute: int = _wait("COMPUTE")
    wait_post: int = _wait("POST")
    dram_addr: int = _bits(32, "byte offset of the first row from DRAM_BASE")
    src_addr: int = _bits(20, "word of the first row")
    row_words: int = _bits(16, "words of a row", default=1)
    rows: int = _bits(12, "rows", default=1)
    dram_pitch: int = _bits(28, "bytes from one row to the next in DRAM")
    src_pitch: int = _bits(20, "words from one row to the next in the bank")
    full_words: int = _bits(20, "words before those of the last channel group")
    unused_lanes: int = _bits(6, "lanes of the last channel group that have no channel")
    line_at: int = _bits(13, "place of a row's first word in its line")
    line_words: int = _bits(13, "words from one line of pixels to the next; 0 if gap_words is 0")
    gap_words: int = _bits(6, "words of these that are no pixels, at the end of the line")
    of_output: int = _bits(1, "1: moved by OUTPUT_MOVE")


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
