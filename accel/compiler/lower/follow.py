"""A depthwise step behind the step before: what that has made is filtered while the array makes the rest.

Rows and channel groups become complete block by block, and as soon as some rows of some groups can be filtered, a POST
for them follows the block's own: so the post-process unit is at work while the array is, and the step after finds its
input complete a block after the array's last product.
"""

from __future__ import annotations

from itertools import groupby

from accel.compiler.geometry import Range, split
from accel.compiler.lower.filter_write import FilterWriter

LEAST_ROWS = 16  # of a piece: two rows above it, or four, pass again


class Follower:
    """Writes the pieces of a depthwise step. `flat`: blocks of the step before count pixels as one row."""

    def __init__(self, writer: FilterWriter, flat: bool) -> None:
        self.writer, self.flat = writer, flat
        machine, g = writer.machine, writer.geometry
        self.channels = len(writer.layer.weights)  # of the step before; this one may fill a word
        self.rows_of_tile = [0] * -(-self.channels // machine.cols)
        self.made = [0] * writer.task.groups  # output rows
        self.columns = split(g.out_w, writer.task.most_pixels(machine, 1))

    def done(self, tiles: Range, rows: Range, cols: Range) -> bool:
        """Output tiles `tiles` have these pixels now, in the order of rows; whether pieces were written."""
        g = self.writer.geometry
        if not self.flat and cols[1] < g.in_w:
            return False
        complete = cols[1] // g.in_w if self.flat else rows[1]
        self.rows_of_tile[tiles[0] : tiles[1]] = [complete] * (tiles[1] - tiles[0])
        return self._write()

    @property
    def finished(self) -> bool:
        """Whether all rows of all groups are written."""
        return self.made == [self.writer.geometry.out_h] * len(self.made)

    def _ready(self, group: int) -> int:
        """Output rows of a channel group that can be made, if they are worth a piece."""
        g = self.writer.geometry
        lanes, cols = self.writer.machine.word_lanes, self.writer.machine.cols
        last = min(self.channels, (group + 1) * lanes)
        rows = min(self.rows_of_tile[group * lanes // cols : -(-last // cols)])
        if rows >= g.in_h:
            return g.out_h
        ready = min(g.out_h, max(0, (rows + g.pads[0] - g.kernel[0]) // g.stride[0] + 1))
        return ready if ready - self.made[group] >= LEAST_ROWS else self.made[group]

    def _write(self) -> bool:
        stream, layer = self.writer.stream, self.writer.stream.layer
        pieces = [(made, self._ready(group)) for group, made in enumerate(self.made)]
        wrote, first = False, 0
        for rows, same in groupby(pieces):
            groups = first, first + len(list(same))
            first = groups[1]
            if rows[0] == rows[1]:
                continue
            if not wrote:  # a configuration drains the unit, so that what it wrote is there
                stream.new_layer(self.writer.plan.step.index)
            wrote = True
            for cols in self.columns:
                self.writer.piece(groups, rows, cols)
            self.made[groups[0] : groups[1]] = [rows[1]] * (groups[1] - groups[0])
        if wrote:
            stream.new_layer(layer)
        return wrote
