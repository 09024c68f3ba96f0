"""Random window LOADs: every field that a legal one may have."""

from __future__ import annotations

from random import Random

from accel.design import Design


def draw_window(rng: Random, design: Design, most_words: int) -> dict[str, int]:
    """Fields of a legal window LOAD of a row of up to `most_words` words.

    Its beats are about as many as the words need, now and then one more, or so few that words are left out.
    """
    lanes, beat = design.word_lanes, design.beat_bytes
    run = rng.randint(1, rng.choice([lanes, max(1, lanes // 3)]))
    step, skip, parts = rng.randint(1, 40), rng.randint(0, beat - 1), rng.randint(1, min(8, 2 * lanes // run))
    words = rng.randint(1, most_words)
    last = max(i // parts * step + i % parts * run for i in range(words)) + run
    tall = rng.randint(1, rng.choice([1, min(7, lanes)]))
    return {
        "window": 1, "run": run, "step": step, "lane": rng.randint(0, lanes - run), "row_words": words,
        "skip_bytes": skip, "zero_code": tall, "code_bits": rng.randint(1, min(15, tall)), "parts": parts - 1,
        "row_beats": max(1, -(-(skip + last) // beat) + rng.choice([0, 0, 0, 1, -1])),
    }  # fmt: skip
