"""Lines of output that a page quotes against what was printed: words must be equal, figures nearly so."""

from __future__ import annotations

import re

NUMBER = re.compile(r"(?<![\w.,-])\d[\d,]*(?:\.\d+)?(?![\w.]*\d)")
COLLAPSE_POINTS, COLLAPSED_POINTS = 10.0, 3.0


def quoted_wrongly(quoted: str, printed: str) -> list[str]:
    """The lines of `quoted` that are not in `printed`, whatever its line breaks, within `is_near`."""
    everything = " ".join(printed.split())
    best = max((_value(n) for n in NUMBER.findall(quoted) if _is_accuracy(n)), default=0.0)
    wrong = []
    for line in quoted.splitlines():
        words = " ".join(line.split())
        figures = list(NUMBER.finditer(words))
        pattern, at = "", 0
        for figure in figures:
            pattern += re.escape(words[at : figure.start()]) + f"({NUMBER.pattern})"
            at = figure.end()
        pattern += re.escape(words[at:])
        # Overlapping matches: a row begins anywhere.
        found = (m.groups() for m in (re.compile(pattern).match(everything, i) for i in range(len(everything))) if m)
        units = [words[figure.end() :] for figure in figures]
        if not any(
            all(is_near(a.group(), b, unit, best) for a, b, unit in zip(figures, groups, units, strict=True))
            for groups in found
        ):
            wrong.append(line)
    return wrong


def is_near(quoted: str, printed: str, unit: str = "", best: float = 0.0) -> bool:
    """Whether a figure that was printed may be quoted so.

    By how it is written: 1,234 to 2 %; 0.12 to .02 (a ratio); 12.34 or 12.3 to 1.5 (an accuracy, which one training in
    another processor's arithmetic may move by as much); whole numbers are equal, but for dB, to 3. An accuracy 10
    points and more below the `best` quoted is a collapse: it may be any that is 3 points below.
    """
    was, now = _value(quoted), _value(printed)
    if (quoted.partition(".")[2] == "") != (printed.partition(".")[2] == ""):
        return False
    if "," in quoted:
        return abs(now - was) <= 0.02 * was
    if _is_accuracy(quoted):
        return now <= best - COLLAPSED_POINTS if was <= best - COLLAPSE_POINTS else abs(now - was) <= 1.5 + 1e-9
    if "." in quoted:
        return abs(now - was) <= 0.02 + 1e-9
    return abs(now - was) <= (3 if unit.startswith(" dB") else 0)


def _is_accuracy(figure: str) -> bool:
    return "." in figure and _value(figure) >= 10


def _value(figure: str) -> float:
    return float(figure.replace(",", ""))
