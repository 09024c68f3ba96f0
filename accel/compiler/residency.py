"""Residency: which tensors stay on chip, in which bank and where; which are spilled to DRAM and streamed.

A tensor lives from the step that makes it to the last that reads it. Its bank is the one that its maker does not read.
If something does not fit, the live tensor whose next use is farthest is spilled (Belady), and all are placed anew.
Inputs behind the first lie in DRAM from the start, as if they were spilled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from accel.commands import Store, most
from accel.compiler.first_layer import Unfolded
from accel.compiler.geometry import Range
from accel.compiler.plan import Region
from accel.compiler.step import Step
from accel.design import Design
from accel.layout import WordTensor
from accel.models.integers.network import IntegerNetwork

Regions = dict[str, Region]
LARGEST_LINE = most(Store, "line_words")  # of an output whose lines do not end with a beat
WASTE = 1.25  # a tensor on chip has rows of whole beats if they are at most so much longer


@dataclass
class Residency:
    """Places tensors, and spills one more whenever it is told to. `align`: words of a beat."""

    network: IntegerNetwork
    design: Design
    steps: Sequence[Step]
    unfolded: Unfolded | None
    align: int
    spilled: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.bank_words = self.design.activation_words // self.align * self.align
        born = dict.fromkeys(self.network.inputs, -1)
        for step in self.steps:
            born.setdefault(step.output, step.index)
        uses: dict[str, list[int]] = {name: [] for name in born}
        for step in self.steps:
            for name in step.reads:
                uses[name].append(step.index)
            if born[step.output] < step.index:  # another part of the same layer made it
                uses[step.output].append(step.index)
        self.born, self.uses = born, uses
        self.lives: dict[str, Range] = {n: (max(0, at), max([at, *uses[n]])) for n, at in born.items()}
        self.linked = self._links()
        for name in born:
            if self._words(self._layout(name, False)) > self.bank_words:
                self.spilled.add(name)
        self.spilled.update(self.network.more_inputs)
        self.layouts: dict[str, WordTensor] = {}

    def _links(self) -> dict[str, set[str]]:
        """Tensors that must have the same layout, since they are added."""
        linked = {name: {name} for name in self.born}
        for step in self.steps:
            if step.residual and linked[step.output] is not linked[step.residual]:
                linked[step.output] |= linked[step.residual]
                for name in linked[step.output]:
                    linked[name] = linked[step.output]
        return linked

    def _layout(self, name: str, spilled: bool) -> WordTensor:
        channels, height, width = self.network.tensors[name].shape
        if name == self.network.input and self.unfolded:
            g = self.unfolded.geometry
            return WordTensor(g.channels, g.in_h, g.in_w, g.in_w, g.in_h * g.in_w)
        pitch = -(-width // self.align) * self.align
        too_long = name in self.network.outputs and pitch > LARGEST_LINE
        if not spilled and (pitch > width * WASTE or too_long):
            pitch = width
        return WordTensor(channels, height, width, pitch, height * pitch)

    def _words(self, layout: WordTensor) -> int:
        return -(-layout.words(self.design.word_lanes) // self.align) * self.align

    def words(self, name: str) -> int:
        """Words of a tensor, in whole beats."""
        return self._words(self.layouts[name])

    def _close(self) -> None:
        """What is streamed out cannot be added to from a tensor with other pitches: stream that as well."""
        changed = True
        while changed:
            changed = False
            for step in self.steps:
                if step.residual and step.output in self.spilled and step.residual not in self.spilled:
                    self.spilled.add(step.residual)
                    changed = True

    def place(self) -> Regions:
        """Regions of the tensors on chip; spills until all others have one."""
        while True:
            self._close()
            self.layouts = {name: self._layout(name, bool(self.linked[name] & self.spilled)) for name in self.born}
            regions: Regions = {}
            for name in self.born:
                if name in self.spilled:
                    continue
                region = self._region(name, regions)
                if region is None:
                    self.spill(max(0, self.born[name]), [name])
                    break
                regions[name] = region
            else:
                return regions

    def _region(self, name: str, regions: Regions) -> Region | None:
        """The first gap in which a tensor fits, in the bank that its maker does not read if there is one."""
        prefer, words = 0, self.words(name)
        if self.born[name] >= 0:
            source = regions.get(self.steps[self.born[name]].input)
            prefer = 1 - source.bank if source else 1
        for bank in (prefer, 1 - prefer):
            for gap in self.gaps(bank, self.lives[name], regions):
                if gap.words >= words:
                    return Region(bank, gap.word, words)
        return None

    def gaps(self, bank: int, life: Range, regions: Regions) -> list[Region]:
        """Free runs of a bank during the steps `life[0]`..`life[1]`."""
        taken = []
        for name, region in regions.items():
            first, last = self.lives[name]
            if region.bank == bank and first <= life[1] and life[0] <= last:
                taken.append((region.word, region.word + region.words))
        gaps, at = [], 0
        for start, end in [*sorted(taken), (self.bank_words, 0)]:
            if start > at:
                gaps.append(Region(bank, at, start - at))
            at = max(at, end)
        return gaps

    def largest_gap(self, bank: int, index: int, regions: Regions) -> Region:
        """The largest free run of a bank during step `index`."""
        return max(self.gaps(bank, (index, index), regions), key=lambda r: r.words, default=Region(bank, 0, 0))

    def live(self, index: int) -> list[str]:
        """The tensors on chip during step `index`."""
        lives = self.lives
        return [n for n in self.born if n not in self.spilled and lives[n][0] <= index <= lives[n][1]]

    def spill(self, index: int, needed: Sequence[str] = ()) -> None:
        """Spill the tensor on chip during step `index`, or of `needed`, whose next use is farthest.

        The largest of these, the last by name if there are several.
        """

        def distance(name: str) -> tuple[int, int]:
            later = [u for u in self.uses[name] if u > index]
            used_now = index in self.uses[name] or self.born[name] == index
            away = min(later, default=index) if not used_now or later else index
            return away, self.words(name)

        candidates = set(self.live(index)) | (set(needed) - self.spilled)
        self.spilled.add(max(sorted(candidates), key=distance))
