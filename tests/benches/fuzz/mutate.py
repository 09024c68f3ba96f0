"""Mutations of bytes, texts and JSON values that every kind of input uses."""

from __future__ import annotations

from random import Random
from typing import Any

INTEGERS = (0, 1, -1, 2, 3, 7, 127, 128, 255, 256, 4095, 65535, 2**20, 2**31 - 1, 2**31, 2**32, 2**40, 2**62, -(2**62))
NUMBERS = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-320, 1e-30, 1e30, 3.4e38, 1e308, float("inf"), float("-inf"), float("nan"))


def mutate_bytes(rng: Random, content: bytes) -> bytes:
    """One to four places changed: a bit, a byte, a piece left out, doubled or moved."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4))):
        if not data:
            return bytes(data)
        at, size = rng.randrange(len(data)), rng.choice((1, 1, 2, 4, 16))
        match rng.randrange(6):
            case 0:
                data[at] ^= 1 << rng.randrange(8)
            case 1:
                data[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
            case 2:
                del data[at : at + size]
            case 3:
                data[at:at] = data[at : at + size]
            case 4:
                other = rng.randrange(len(data))
                data[at : at + size] = data[other : other + size]
            case _:
                data[at:at] = bytes(rng.randrange(256) for _ in range(size))
    return bytes(data)


def paths(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value inside nested lists and dictionaries."""
    found = [here]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        found += paths(child, (*here, key))
    return found


def mutate_value(rng: Random, document: Any) -> Any:
    """Change one value in nested lists and dictionaries, in place: another one, another type, left out, or doubled."""
    where = rng.choice(paths(document)[1:] or [()])
    if not where:
        return rng.choice([None, [], {}, 7])
    parent = document
    for key in where[:-1]:
        parent = parent[key]
    old = parent[where[-1]]
    match rng.randrange(6):
        case 0:
            del parent[where[-1]]
        case 1 if isinstance(parent, list):
            parent.insert(where[-1], old)
        case 1:
            parent[rng.choice(["x", "type", "name", ""])] = old
        case 2:
            parent[where[-1]] = rng.choice([None, True, "", "x", [], {}, [[[]]], "\x1b[31m", "\ud800", "a\nb"])
        case 3:
            parent[where[-1]] = rng.choice(INTEGERS)
        case 4:
            parent[where[-1]] = rng.choice(NUMBERS)
        case _:
            parent[where[-1]] = near(rng, old)
    return document


def near(rng: Random, old: Any) -> Any:
    """Something of the type of `old`, and near it."""
    match old:
        case bool():
            return not old
        case int() | float():
            return old + rng.choice((-1, 1))
        case str():
            return old[:-1] if old and rng.random() < 0.5 else old + "x"
        case list() if old:
            return [*old, rng.choice(old)] if rng.random() < 0.5 else old[:-1]
        case dict() if old:
            return dict(list(old.items())[:-1])
    return old
