"""AXI memories for the tests of blocks in Amaranth's simulator.

`ReadMemory` and `WriteMemory` are stepped once a cycle: `drive` gives the inputs of this cycle, `observe` takes what
the unit did in it. Without stalls they are the memory of docs/architecture.md; with stalls every handshake waits at
random. Both check the protocol: a payload that was offered stays, a burst does not cross 4 KiB and lies in the memory.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from random import Random
from typing import Literal

import numpy as np

BASE = 0x7654_3000  # DRAM_BASE in all tests that do not set `channel.base`


@dataclass(frozen=True)
class Manner:
    """What a slave waits for before it raises a READY: each combination is one that AXI4 allows (IHI 0022, A3.3.1).

    A slave that has all data before it takes the address cannot also have the address before it takes data.
    """

    aw_waits_for: Literal["nothing", "awvalid", "wvalid", "data"] = "nothing"
    w_waits_for: Literal["nothing", "wvalid", "address"] = "nothing"
    ar_waits_for: Literal["nothing", "arvalid"] = "nothing"

    def __post_init__(self) -> None:
        assert (self.aw_waits_for, self.w_waits_for) != ("data", "address")


EAGER = Manner()
MANNERS = [
    Manner(aw, w, ar)  # type: ignore[arg-type]
    for aw in ("nothing", "awvalid", "wvalid", "data")
    for w in ("nothing", "wvalid", "address")
    for ar in ("nothing", "arvalid")
    if (aw, w) != ("data", "address")
]


class _Channel:
    """What an AXI address channel may do."""

    def __init__(self, beat_bytes: int, size: int) -> None:
        self.beat_bytes, self.size, self.base = beat_bytes, size, BASE
        self.offered: tuple | None = None
        self.bursts: list[tuple[int, int]] = []

    def check(self, valid: int, ready: bool, payload: tuple) -> bool:
        """Whether an address was accepted in this cycle."""
        if self.offered is not None:
            assert (valid, payload) == (1, self.offered), "an offered address was changed"
        self.offered = payload if valid and not ready else None
        if not (valid and ready):
            return False
        addr, length, size, burst = payload
        count = (length + 1) * self.beat_bytes
        assert (1 << size, burst) == (self.beat_bytes, 1)
        assert addr // 4096 == (addr + count - 1) // 4096, "a burst crosses 4 KiB"
        offset = addr - self.base
        assert 0 <= offset <= self.size - count, "a burst leaves the memory"
        assert addr + count <= 1 << 32, "a burst leaves the address space"
        self.bursts.append((offset, length + 1))
        return True


class ReadMemory:
    """Answers read bursts from `content`, of which a DRAM of `size` bytes holds copies behind one another.

    `bad`: beats (counted from the first) that come with SLVERR.
    """

    def __init__(
        self,
        content: np.ndarray,
        beat_bytes: int,
        latency: int,
        interval: int,
        stalls: Random | None,
        size: int = 0,
        manner: Manner = EAGER,
    ) -> None:
        self.manner = manner
        self.content, self.beat_bytes, self.latency, self.interval = content, beat_bytes, latency, interval
        self.stalls = stalls
        self.channel = _Channel(beat_bytes, size or len(content))
        self.waiting: deque[list[int]] = deque()  # cycle of the first beat, offset, beats left
        self.earliest = 0
        self.bad: set[int] = set()
        self.beats = 0
        self.shown = False  # a beat is on the bus

    @property
    def in_flight(self) -> int:
        return len(self.waiting)

    def drive(self, ctx, axi, cycle: int) -> None:
        self.ready = self.stalls is None or self.stalls.random() < 0.6
        self.ready &= self.manner.ar_waits_for == "nothing" or self.channel.offered is not None
        ctx.set(axi.arready, self.ready)
        due = bool(self.waiting) and cycle >= max(self.waiting[0][0], self.earliest)
        self.shown = due and (self.shown or self.stalls is None or self.stalls.random() < 0.6)
        ctx.set(axi.rvalid, self.shown)
        if self.shown:
            at, left = self.waiting[0][1] % len(self.content), self.waiting[0][2]
            ctx.set(axi.rdata, int.from_bytes(self.content[at : at + self.beat_bytes].tobytes(), "little"))
            ctx.set(axi.rlast, left == 1)
            ctx.set(axi.rresp, 2 * (self.beats in self.bad))
        else:
            ctx.set(axi.rdata, 0)

    @staticmethod
    def watched(axi) -> list:
        return [axi.arvalid, axi.araddr, axi.arlen, axi.arsize, axi.arburst, axi.rready]

    def observe(self, seen: tuple, cycle: int) -> None:
        valid, *payload, rready = seen
        if self.shown and rready:
            self.waiting[0][1] += self.beat_bytes
            self.waiting[0][2] -= 1
            if not self.waiting[0][2]:
                self.waiting.popleft()
            self.beats += 1
            self.shown = False
            self.earliest = cycle + self.interval
        if self.channel.check(valid, self.ready, tuple(payload)):
            self.waiting.append([cycle + self.latency, *self.channel.bursts[-1]])


class WriteMemory:
    """Takes write bursts into `content`, at their offset modulo its size: what is written, where `written`.

    `bad`: bursts (counted from the first) that are answered with SLVERR. `manner`: what its handshakes wait for.
    """

    def __init__(
        self, size: int, beat_bytes: int, latency: int, interval: int, stalls: Random | None, manner: Manner = EAGER
    ) -> None:
        self.content = np.zeros(size, np.uint8)
        self.written = np.zeros(size, bool)
        self.beat_bytes, self.latency, self.interval, self.stalls = beat_bytes, latency, interval, stalls
        self.manner = manner
        self.channel = _Channel(beat_bytes, size)
        self.addresses: deque[tuple[int, int]] = deque()  # offset and beats of bursts whose data is not all there
        self.data: deque[list[tuple[int, int]]] = deque([[]])  # beats and strobes by burst; the last is incomplete
        self.answers: deque[int] = deque()  # cycles from which responses are due
        self.earliest = 0
        self.bad: set[int] = set()
        self.answered = 0
        self.shown = False
        self.offered: tuple | None = None

    @property
    def in_flight(self) -> int:
        return len(self.addresses) + len(self.answers) + len(self.data) - 1 + len(self.data[-1])

    def drive(self, ctx, axi, cycle: int) -> None:
        luck = self.stalls.random if self.stalls else lambda: 0.0
        complete = len(self.data) - 1
        begun = complete + bool(self.data[-1] or self.offered)
        self.aw_ready = (
            luck() < 0.6
            and {
                "nothing": True,
                "awvalid": self.channel.offered is not None,
                "wvalid": begun > len(self.addresses),
                "data": complete > len(self.addresses),
            }[self.manner.aw_waits_for]
        )
        self.w_ready = cycle >= self.earliest and luck() < 0.6
        self.w_ready &= {
            "nothing": True,
            "wvalid": self.offered is not None,
            "address": len(self.addresses) > complete,
        }[self.manner.w_waits_for]
        due = bool(self.answers) and cycle >= self.answers[0]
        self.shown = due and (self.shown or luck() < 0.6)
        ctx.set(axi.awready, self.aw_ready)
        ctx.set(axi.wready, self.w_ready)
        ctx.set(axi.bvalid, self.shown)
        ctx.set(axi.bresp, 2 * (self.shown and self.answered in self.bad))

    @staticmethod
    def watched(axi) -> list:
        address = [axi.awvalid, axi.awaddr, axi.awlen, axi.awsize, axi.awburst]
        return [*address, axi.wvalid, axi.wdata, axi.wstrb, axi.wlast, axi.bready]

    def observe(self, seen: tuple, cycle: int) -> None:
        aw_valid, *payload, w_valid, data, strobe, last, b_ready = (*seen[:5], *seen[5:])
        if self.shown and b_ready:
            self.answers.popleft()
            self.answered += 1
            self.shown = False
        if self.offered is not None:
            assert (w_valid, data, strobe, last) == self.offered, "an offered beat was changed"
        self.offered = (1, data, strobe, last) if w_valid and not self.w_ready else None
        if w_valid and self.w_ready:
            self.data[-1].append((data, strobe))
            if last:
                self.data.append([])
            self.earliest = cycle + self.interval
        if self.channel.check(aw_valid, self.aw_ready, tuple(payload)):
            self.addresses.append(self.channel.bursts[-1])
        while self.addresses and len(self.data) > 1:
            self._write(*self.addresses.popleft(), self.data.popleft())
            self.answers.append(cycle + self.latency)

    def _write(self, at: int, beats: int, data: list[tuple[int, int]]) -> None:
        assert len(data) == beats, f"{len(data)} beats up to wlast, and a burst of {beats}"
        for k, (beat, strobe) in enumerate(data):
            kept = np.array([strobe >> lane & 1 for lane in range(self.beat_bytes)], bool)
            first = at % len(self.content) + k * self.beat_bytes
            here = slice(first, first + self.beat_bytes)
            new = np.frombuffer(int(beat).to_bytes(self.beat_bytes, "little"), np.uint8)
            self.content[here] = np.where(kept, new, self.content[here])
            self.written[here] |= kept
