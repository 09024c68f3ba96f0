"""Residency: which tensors stay on chip, in which bank and where; which are spilled to DRAM and streamed.

What is placed are storages (`accel.compiler.placement`): one tensor, or several that are joined. One lives from the
step that makes its first part to the last that reads it. Its bank is the one that its first maker does not read.
If something does not fit, the live tensor whose next use is farthest is spilled (Belady), and all are placed anew.
Inputs behind the first lie in DRAM from the start, as if they were spilled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from accel.commands import Store, most
from accel.compiler.geometry import Range
from accel.compiler.placement import Spot
from accel.compiler.plan import Region
from accel.compiler.step import Step, one_pixel
from accel.compiler.unfolded import Unfolded
from accel.design import Design
from accel.layout import WordTensor
from accel.models.integers.network import IntegerNetwork

Regions = dict[str, Region]
LARGEST_LINE = most(Store, "line_words")  # of an output whose lines do not end with a beat
WASTE = 1.25  # a tensor on chip has rows of whole beats if they are at most so much longer


@dataclass
class Residency:
    """Places tensors, and spills one more whenever it is told to. `align`: words of a beat; `following`:
    numbers of the steps that are written behind the step before. `over`: sums may be written over their operand; `sums`
    are those that are. `chains`: numbers of steps that run strip by strip: what is between them is not placed.
    """

    network: IntegerNetwork
    design: Design
    steps: Sequence[Step]
    unfolded: Unfolded | None
    align: int
    following: frozenset[int] = frozenset()
    chains: Sequence[range] = ()
    spilled: set[str] = field(default_factory=set)
    over: bool = True
    sums: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.lanes = self.design.word_lanes
        self.bank_words = self.design.activation_words // self.align * self.align
        born, self.groups = dict.fromkeys(self.network.inputs, -1), dict[str, int]()
        self.spots: dict[str, Spot] = {}
        for step in self.steps:
            self.spots |= step.spots
            born.setdefault(step.target.storage, step.index)
        for name in self.network.inputs:
            channels = self.network.tensors[name].shape[0]
            self.spots.setdefault(name, Spot(name, 0, channels, channels))
        for spot in self.spots.values():
            end = spot.group + self._groups(spot)
            self.groups[spot.storage] = max(self.groups.get(spot.storage, 0), end)
        uses: dict[str, list[int]] = {name: [] for name in born}
        makes: dict[str, list[int]] = {name: [] for name in born}
        for step in self.steps:
            makes[step.target.storage].append(step.index)
            for name in {spot.storage for spot in (step.source, step.added) if spot}:
                uses[name].append(step.index)
        self.born, self.uses, self.makes = born, uses, makes
        self.lives: dict[str, Range] = {n: (max(0, at), max([at, *makes[n], *uses[n]])) for n, at in born.items()}
        for index in self.following:  # what it makes, it makes while the step before runs
            name = self.steps[index].target.storage
            self.lives[name] = (min(index - 1, self.lives[name][0]), self.lives[name][1])
        self.between = {self.steps[k].target.storage for chain in self.chains for k in chain[:-1]}
        self.chained = {k: chain for chain in self.chains for k in chain}
        for name, (low, high) in self.lives.items():  # the steps of a chain run at once
            for chain in self.chains:
                if any(index in chain for index in (*makes[name], *uses[name])):
                    low, high = min(low, chain.start), max(high, chain.stop - 1)
            self.lives[name] = low, high
        self.pinned = {step.added.storage for step in self.steps if step.added and one_pixel(step, self.network)}
        self.linked = self._links()
        for name in born:
            if self._words(self._layout(name, False)) > self.bank_words and name not in self.between:
                self.spilled.add(name)
        self.spilled.update(self.network.more_inputs)
        first = [step for step in self.steps if self.network.input in step.reads]
        if len(first) == 1 and first[0].kind == "matrix" and first[0].geometry.skips > 1 and not self.unfolded:
            self.spilled.add(self.network.input)  # rows that nobody reads stay in DRAM
        self.layouts: dict[str, WordTensor] = {}

    def _links(self) -> dict[str, set[str]]:
        """Tensors that must have the same layout, since they are added."""
        linked = {name: {name} for name in self.born}
        for step in self.steps:
            if one_pixel(step, self.network):
                continue
            if step.added and linked[step.target.storage] is not linked[step.added.storage]:
                linked[step.target.storage] |= linked[step.added.storage]
                for name in linked[step.target.storage]:
                    linked[name] = linked[step.target.storage]
        return linked

    def _layout(self, name: str, spilled: bool) -> WordTensor:
        _, height, width = self.network.tensors[name].shape
        channels = self.groups[name] * self.lanes
        if name == self.network.input and self.unfolded:
            g = self.unfolded.geometry
            channels = len(g.lower_rows) * self.lanes if g.places else g.channels
            return WordTensor(channels, g.in_h, g.in_w, g.in_w, g.in_h * g.in_w)
        pitch = -(-width // self.align) * self.align
        too_long = name in self.network.outputs and pitch > LARGEST_LINE
        if not spilled and (pitch > width * WASTE or too_long):
            pitch = width
        return WordTensor(channels, height, width, pitch, height * pitch)

    def _words(self, layout: WordTensor) -> int:
        return -(-layout.words(self.lanes) // self.align) * self.align

    def words(self, name: str) -> int:
        """Words of a storage, in whole beats."""
        return self._words(self.layouts[name])

    def layout(self, tensor: str) -> WordTensor:
        """How a tensor lies in its storage, from its first channel group on."""
        spot = self.spots[tensor]
        whole = self.layouts[spot.storage]
        if spot.storage == self.network.input and self.unfolded:
            return whole
        return whole if whole.channels == spot.written else replace(whole, channels=spot.written)

    def _groups(self, spot: Spot) -> int:
        """Channel groups of a tensor, with what lies between its channels."""
        return -(-spot.written // self.lanes)

    def region(self, tensor: str, regions: Regions) -> Region | None:
        """The words of a tensor on chip, with what lies between its channels."""
        spot = self.spots[tensor]
        whole = regions.get(spot.storage)
        if whole is None:
            return None
        plane, groups = self.layouts[spot.storage].plane, self._groups(spot)
        if groups == self.groups[spot.storage]:
            return whole
        return Region(whole.bank, whole.word + spot.group * plane, groups * plane)

    def _close(self) -> None:
        """What is streamed out cannot be added to from a tensor with other pitches: stream that as well."""
        changed = True
        while changed:
            changed = False
            for step in self.steps:
                added = step.added and not one_pixel(step, self.network) and step.added.storage
                if added and step.target.storage in self.spilled and added not in self.spilled:
                    self.spilled.add(added)
                    changed = True

    def place(self) -> Regions:
        """Regions of the tensors on chip; spills until all others have one."""
        while True:
            self._close()
            self.layouts = {name: self._layout(name, bool(self.linked[name] & self.spilled)) for name in self.born}
            regions: Regions = {}
            self.sums.clear()
            for name in self.born:
                if name in self.spilled or name in self.between:
                    continue
                region = self._region(name, regions)
                if region is None:
                    self.spill(max(0, self.born[name]), [name])
                    break
                regions[name] = region
            else:
                return regions

    def _region(self, name: str, regions: Regions) -> Region | None:
        """The first gap in which a storage fits, in the bank that its maker does not read if there is one.

        If there is none, the place of the operand that its maker adds, if nobody needs that any more.
        """
        prefer, words = 0, self.words(name)
        if self.born[name] >= 0:
            source = regions.get(self.steps[self.born[name]].source.storage)
            prefer = 1 - source.bank if source else 1
        for bank in (prefer, 1 - prefer):
            for gap in self.gaps(bank, self.lives[name], regions):
                if gap.words >= words:
                    return Region(bank, gap.word, words)
        return self._over_operand(name, regions)

    def _over_operand(self, name: str, regions: Regions) -> Region | None:
        """The region of a residual operand over which the sum can be written: a POST reads each word before."""
        step = self.steps[self.born[name]] if self.born[name] >= 0 else None
        if (
            not self.over
            or step is None
            or not step.added
            or one_pixel(step, self.network)
            or step.part
            or self.makes[name] != [step.index]
        ):
            return None
        if step.index in self.following:  # it writes while the step before still reads
            return None
        operand = step.added.storage
        if self.lives[operand][1] > step.index or operand == step.source.storage or operand not in regions:
            return None
        if step.index in self.chained:  # rows that it writes are read once more
            return None
        if self.groups[operand] != self.groups[name]:
            return None
        self.sums.add(name)
        return regions[operand]

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
        away = self.spilled | self.between
        return [n for n in self.born if n not in away and lives[n][0] <= index <= lives[n][1]]

    def spill(self, index: int, needed: Sequence[str] = ()) -> None:
        """Spill the tensor on chip during step `index`, or of `needed`, whose next use is farthest.

        The largest of these, the last by name if there are several. Operands of one pixel stay: none can be streamed.
        """

        def distance(name: str) -> tuple[int, int]:
            later = [u for u in self.uses[name] if u > index]
            used_now = index in self.uses[name] or index in self.makes[name]
            away = min(later, default=index) if not used_now or later else index
            return away, self.words(name)

        candidates = set(self.live(index)) | (set(needed) - self.spilled)
        self.spilled.add(max(sorted(candidates - self.pinned or candidates), key=distance))
