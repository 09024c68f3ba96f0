"""What the array sees of a layer: a convolution over channel groups of R, whatever the layer was."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from accel.models.integers.network import MatrixLayer, VectorLayer
from accel.models.window import Window

Range = tuple[int, int]


@dataclass(frozen=True)
class Geometry:
    """A convolution of a (channels, in_h, in_w) input to out_h x out_w pixels, optionally max-pooled on the way out.

    `pads` (top, left); `padded`: some window leaves the input (then coordinates matter, else only addresses do).
    `beside`: 1 if a kernel position stands for two columns, in the halves of the lanes (`lower.pairs`).
    `deep`: the words of a whole map are the groups of one pixel (`lower.deep`).
    `places`: of each channel group the plane of words on chip that has it, and how many rows lower there (`covering`);
    none if every group has a plane of its own.
    `pool` is the fused pooling window, `pooled_h` x `pooled_w` its output (the layer's own without pooling).
    """

    channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    pads: tuple[int, int]
    padded: bool
    in_h: int
    in_w: int
    out_h: int
    out_w: int
    pool: Window | None = None
    beside: int = 0
    deep: bool = False
    places: tuple[tuple[int, int], ...] = ()

    def __str__(self) -> str:
        (kh, kw), (sh, sw), (dh, dw) = self.kernel, self.stride, self.dilation
        text = f"{self.channels} x {self.in_h} x {self.in_w} -> {self.out_h} x {self.out_w}, kernel {kh} x {kw}"
        text += f", stride {sh} x {sw}" if self.stride != (1, 1) else ""
        text += f", dilation {dh} x {dw}" if self.dilation != (1, 1) else ""
        text += ", columns two by two" if self.beside else ""
        text += f", pads {self.pads[0]}, {self.pads[1]}" if self.padded else ""
        text += f", words in {len(self.lower_rows)} planes" if self.places else ""
        if self.pool:
            (kh, kw), (ph, pw) = self.pool.kernel, self.pooled
            text += f", max {kh} x {kw} -> {ph} x {pw}"
        return text

    @cached_property
    def pooled(self) -> tuple[int, int]:
        """Height and width of what the layer writes."""
        return self.pool.output_size(self.out_h, self.out_w) if self.pool else (self.out_h, self.out_w)

    @cached_property
    def taps(self) -> int:
        """Kernel positions."""
        return self.kernel[0] * self.kernel[1]

    @property
    def overlaps(self) -> bool:
        """Whether windows of the fused pooling share rows or columns, which neighbouring blocks then both make."""
        window = self.pool
        return window is not None and any(s < k for s, k in zip(window.stride, window.kernel, strict=True))

    def made(self, axis: int, pixels: Range) -> Range:
        """Rows (axis 0) or columns (1) of the convolution under the output pixels `pixels`."""
        if not self.pool:
            return pixels
        window, size = self.pool, (self.out_h, self.out_w)[axis]
        low = pixels[0] * window.stride[axis] - window.pads[axis]
        high = (pixels[1] - 1) * window.stride[axis] - window.pads[axis] + window.kernel[axis]
        return max(0, low), min(size, high)

    def read(self, axis: int, made: Range) -> Range:
        """Rows or columns of the input under the convolution's `made`; never empty, clipped to the input."""
        size = (self.in_h, self.in_w)[axis]
        low = made[0] * self.stride[axis] - self.pads[axis]
        span = (self.kernel[axis] - 1) * self.dilation[axis] + 1 + axis * self.beside
        high = (made[1] - 1) * self.stride[axis] - self.pads[axis] + span
        low = min(max(0, low), size - 1)
        return low, max(low + 1, min(size, high))

    @cached_property
    def lower_rows(self) -> tuple[int, ...]:
        """Of each plane of `places`, how many rows lower than a pixel's own the lowest row is that it needs."""
        planes = range(1 + max(plane for plane, _ in self.places))
        return tuple(max(row for plane, row in self.places if plane == of) for of in planes)

    @property
    def skips(self) -> int:
        """Rows of the input from one that is read to the next; 1 unless a kernel of one row leaves some out."""
        return self.stride[0] if self.kernel[0] == 1 and not self.padded else 1

    def without_skipped(self) -> Geometry:
        """The same over those rows of the input that are read."""
        return replace(self, stride=(1, self.stride[1]), in_h=self.out_h)

    @property
    def pointwise(self) -> bool:
        """Pixels are independent: they may be taken in any rectangle, or as one row."""
        alone = self.kernel == self.stride == (1, 1) and not self.padded and self.pool is None
        return alone and (self.in_h, self.in_w) == (self.out_h, self.out_w)

    def flat(self) -> Geometry:
        """A pointwise layer with all pixels in one row."""
        size = self.out_h * self.out_w
        return replace(self, in_h=1, in_w=size, out_h=1, out_w=size)


def matrix_geometry(layer: MatrixLayer, shape: tuple[int, int, int], pool: Window | None) -> Geometry:
    """The layer as it is."""
    window = layer.window
    channels, height, width = shape
    out_h, out_w = window.output_size(height, width)
    return Geometry(
        channels, window.kernel, window.stride, window.dilation, window.pads[:2],
        any(window.pads), height, width, out_h, out_w, pool,
    )  # fmt: skip


def vector_geometry(layer: VectorLayer, shape: tuple[int, int, int], pool: Window | None = None) -> Geometry:
    """The window of a vector layer; it has no dilation, and no pooling after it."""
    assert pool is None
    window = layer.window
    channels, height, width = shape
    out_h, out_w = window.output_size(height, width)
    return Geometry(
        channels, window.kernel, window.stride, (1, 1), window.pads[:2], any(window.pads), height, width, out_h, out_w
    )


def split(size: int, most: int, align: int = 1) -> list[Range]:
    """0..size in pieces of at most `most` (a multiple of `align`, if there are several), as equal as can be."""
    if most >= size:
        return [(0, size)]
    step = _step(size, most, align)
    return [(first, min(size, first + step)) for first in range(0, size, step)]


def split_with_ends(size: int, most: int, first: int, last: int, align: int = 1) -> list[Range]:
    """As `split`, the first piece of `first` and the last of about `last` (0: like the others), if more is left."""
    first = -(-first // align) * align
    end = (size - last) // align * align if last else size
    if first >= end:
        return split(size, most, align)
    found = [(first + low, first + high) for low, high in split(end - first, most, align)]
    return [*([(0, first)] if first else []), *found, *([(end, size)] if end < size else [])]


@lru_cache(1 << 12)  # tiling asks for the same ones again and again
def pieces(size: int, most: int, align: int = 1) -> int:
    """How many pieces `split` makes."""
    if most >= size:
        return 1
    return -(-size // _step(size, most, align))


def _step(size: int, most: int, align: int) -> int:
    """The size of equal pieces."""
    count = -(-size // max(align, most // align * align))
    equal = -(-size // count)
    return -(-equal // align) * align
