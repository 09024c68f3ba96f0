"""POSTs that write their outputs over their operand, cut so that nothing is read while it is written.

An output is written D cycles after its operand was read, and a chunk of P channels takes T cycles. If D = k T, a chunk
is written in the very cycles in which the k-th one behind it reads the same words; where both lie in one word, memories
may give anything for it (accel.rtl.ram). Between those two chunks the unit must have drained: a CONFIG_POST does that.
"""

from __future__ import annotations

from collections.abc import Sequence

from accel.design import Design
from accel.latency import output_cycles
from accel.memories import ACCUMULATOR, ACTIVATION
from accel.rows import CONFIG_POST as CONFIG
from accel.rows import POST

Row = Sequence[int]


def is_over_operand(design: Design, post: Row) -> bool:
    """Whether a POST writes over its operand in words of several chunks."""
    return bool(post[POST.residual]) and post[POST.res_addr] == post[POST.dst_addr] and design.lanes < design.word_lanes


def pieces(design: Design, config: Row, post: Row) -> list[Row]:
    """The POSTs that do what `post` does under `config`, the unit drained between them: mostly one."""
    starts = _starts(design, config, post) if is_over_operand(design, post) else [0]
    ends = [*starts[1:], post[POST.chunks]]
    return [_piece(design, config, post, start, end) for start, end in zip(starts, ends, strict=True)]


def _starts(design: Design, config: Row, post: Row) -> list[int]:
    """The chunks at which the pieces begin."""
    per_word, pixels = design.word_lanes // design.lanes, post[POST.out_h] * post[POST.out_w]
    passing = pixels * (config[CONFIG.win_h] * config[CONFIG.win_w] + post[POST.from_activation])
    behind, rest = divmod(output_cycles(design, config[CONFIG.table], config[CONFIG.multiply]), passing)
    starts = [0]
    if rest or behind >= per_word:
        return starts
    for chunk in range(post[POST.chunks]):
        # so far into its word: the chunk that is written meanwhile is in it too
        if chunk - behind >= starts[-1] and (post[POST.dst_chunk] + chunk) % per_word >= behind:
            starts.append(chunk)
    return starts


def _piece(design: Design, config: Row, post: Row, start: int, end: int) -> Row:
    """Chunks `start`..`end` of a POST."""
    if (start, end) == (0, post[POST.chunks]):
        return post
    made, per_word = list(post), design.word_lanes // design.lanes
    planes, made[POST.dst_chunk] = divmod(post[POST.dst_chunk] + start, per_word)
    made[POST.dst_addr] += planes * config[CONFIG.dst_plane]
    made[POST.res_addr] = made[POST.dst_addr]
    per_source = per_word if post[POST.from_activation] else design.cols // design.lanes
    planes, made[POST.src_chunk] = divmod(post[POST.src_chunk] + start, per_source)
    bank = ACTIVATION.bank_words if post[POST.from_activation] else ACCUMULATOR.bank_words
    word = (post[POST.src_addr] + planes * config[CONFIG.src_plane]) % bank  # it may lie before the tensor
    made[POST.src_addr] = post[POST.src_addr] // bank * bank + word
    made[POST.chunks] = end - start
    made[POST.param_addr] += 0 if post[POST.uniform] else start
    return made
