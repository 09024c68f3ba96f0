"""Networks of the literature whose output is a map: segmentation (FCN, SegNet) and optical flow (FlowNet)."""

from __future__ import annotations

import numpy as np

from accel.models.build import IMAGE
from accel.models.zoo.architectures import VGG_BLOCKS, vgg_features
from accel.models.zoo.sketch import Sketch

VOC_CLASSES = 21
CAMVID_CLASSES = 11


def fcn(stride: int) -> Sketch:
    """FCN-32s or FCN-8s (`stride`) on VGG-16, for PASCAL VOC's classes; input (3, 500, 500), padded by 100.

    Source: Long et al., arXiv 1411.4038; voc-fcn32s and voc-fcn8s of the authors' repository, whose transposed
    convolutions join all classes. 134 M parameters without those.
    """
    s = Sketch((3, 500, 500))
    vgg_features(s, first_pads=100, ceil=True)
    s.conv("fc6", 4096, 7)
    s.conv("fc7", 4096, 1)
    s.conv("score_fr", VOC_CLASSES, 1, act="")
    if stride == 8:
        for pool, offset in ((4, 5), (3, 9)):
            up = s.transposed(f"upscore{pool}", VOC_CLASSES, 4, 2, bias=False)
            s.conv(f"score_pool{pool}", VOC_CLASSES, 1, act="", source=f"pool{pool}")
            cropped = _crop(s, f"score_pool{pool}c", offset, s.shapes[up][1])
            s.add(f"fuse_pool{pool}", up, cropped)
    s.transposed("upscore", VOC_CLASSES, 2 * stride, stride, bias=False)
    _crop(s, "score", {32: 19, 8: 31}[stride], 500)
    return s


def _crop(s: Sketch, name: str, offset: int, size: int) -> str:
    channels = s.shapes[s.last][0]
    return s.slice(name, s.last, (0, offset, offset), (channels, size, size))


def segnet() -> Sketch:
    """SegNet for CamVid's classes: some 29.4 M parameters; input (3, 352, 480).

    Source: Badrinarayanan et al., arXiv 1511.00561; convolutions have biases beside the batch normalisation. The
    authors' 360 rows are not a multiple of 32, which the five unpoolings of 2 x 2 need.
    """
    s = Sketch((3, 352, 480))
    for block, (channels, depth) in enumerate(VGG_BLOCKS, start=1):
        for i in range(1, depth + 1):
            s.conv(f"conv{block}_{i}", channels, 3, pads=1, norm=True, bias=True)
        s.pool(f"pool{block}", 2, 2, indices=f"pool{block}_mask")
    for block in range(5, 0, -1):
        channels, depth = VGG_BLOCKS[block - 1]
        s.unpool(f"upsample{block}", f"pool{block}_mask")
        for i in range(depth, 1, -1):
            s.conv(f"conv{block}_{i}_D", channels, 3, pads=1, norm=True, bias=True)
        if block > 1:
            s.conv(f"conv{block}_1_D", VGG_BLOCKS[block - 2][0], 3, pads=1, norm=True, bias=True)
    s.conv("conv1_1_D", CAMVID_CLASSES, 3, pads=1, act="")
    return s


def flownet_s() -> Sketch:
    """FlowNetS on two images behind each other: 38,676,496 parameters; input (6, 384, 512).

    Source: Dosovitskiy et al., arXiv 1504.06852; layers and biases as in NVIDIA's flownet2-pytorch.
    """
    s = Sketch((6, 384, 512))
    _stem(s)
    s.conv("conv3_1", 256, 3, pads=1, act="leaky")
    return _flow(s, "conv2.leaky", bias=False)


def flownet_c() -> Sketch:
    """FlowNetC, which correlates both images' features over 441 displacements: 39,175,298 parameters; (6, 384, 512).

    Source: as of FlowNetS.
    """
    s = Sketch((6, 384, 512))
    first, second = (s.slice(f"image{i}", IMAGE, (3 * i, 0, 0), (3, 384, 512)) for i in range(2))
    _stem(s, first)
    _stem(s, second, "b")
    s.conv("conv_redir", 32, 1, act="leaky", source="conv3.leaky")
    correlated = _correlation(s, "corr", "conv3.leaky", "conv3b.leaky")
    s.concat("in3_1", ("conv_redir.leaky", correlated))
    s.conv("conv3_1", 256, 3, pads=1, act="leaky")
    return _flow(s, "conv2.leaky", bias=True)


def _stem(s: Sketch, source: str = "", copy: str = "") -> None:
    """The first three convolutions; a `copy` has the weights of those without one."""
    for i, (channels, kernel) in enumerate(((64, 7), (128, 5), (256, 5)), start=1):
        like = f"conv{i}" if copy else ""
        s.conv(f"conv{i}{copy}", channels, kernel, 2, kernel // 2, act="leaky", source=source, like=like)
        source = ""


def _flow(s: Sketch, second: str, bias: bool) -> Sketch:
    """From conv3_1 on: the contracting part, then flow predicted and refined at five sizes."""
    skips = {2: second, 3: s.last}
    for i, channels in ((4, 512), (5, 512), (6, 1024)):
        s.conv(f"conv{i}", channels, 3, 2, pads=1, act="leaky")
        skips[i] = s.conv(f"conv{i}_1", channels, 3, pads=1, act="leaky")
    features = skips[6]
    for i, channels in ((5, 512), (4, 256), (3, 128), (2, 64)):
        s.conv(f"predict_flow{i + 1}", 2, 3, pads=1, act="", source=features)
        flow = s.transposed(f"upsampled_flow{i + 1}", 2, 4, 2, 1, bias=bias)
        up = s.transposed(f"deconv{i}", channels, 4, 2, 1, act="leaky", source=features)
        features = s.concat(f"concat{i}", (skips[i], up, flow))
    s.conv("predict_flow2", 2, 3, pads=1, act="")
    return s


REACH, STEP = 20, 2  # the largest displacement, and from one to the next


def _correlation(s: Sketch, name: str, first: str, second: str) -> str:
    """The mean product of each pixel of `first` with those of `second` around it, a channel a displacement.

    In ONNX's words: a row of displacements at a time is gathered out of the padded map.
    """
    channels, height, width = s.shapes[first]
    high, wide = height + 2 * REACH, width + 2 * REACH
    pads = s.constant(f"{name}.pads", np.array([0, 0, REACH, REACH] * 2, np.int64))
    flat = s.constant(f"{name}.flat", np.array([0, channels, high * wide], np.int64))
    column = s.constant(f"{name}.column", np.array([0, channels, 1, height * width], np.int64))
    s.node("Pad", f"{name}.padded", (second, pads), (channels, high, wide))
    padded = s.node("Reshape", f"{name}.around", (s.last, flat), (channels, high * wide))
    pixels = s.node("Reshape", f"{name}.pixels", (first, column), (channels, 1, height * width))
    moves = np.arange(0, 2 * REACH + 1, STEP)
    starts = (np.arange(height)[:, None] * wide + np.arange(width)).reshape(-1)
    rows = []
    for y in moves:
        at = s.constant(f"{name}.at{y}", (y * wide + moves[:, None] + starts).astype(np.int64))
        shape = (channels, len(moves), len(starts))
        s.node("Gather", f"{name}.gathered{y}", (padded, at), shape, axis=2)
        s.node("Mul", f"{name}.products{y}", (s.last, pixels), shape)
        rows.append(s.node("ReduceMean", f"{name}.row{y}", (s.last,), shape[1:], axes=(1,), keepdims=0))
    s.node("Concat", f"{name}.rows", rows, (len(moves) ** 2, len(starts)), axis=1)
    shape = (len(moves) ** 2, height, width)
    s.node("Reshape", name, (s.last, s.constant(f"{name}.map", np.array([0, *shape], np.int64))), shape)
    return s.activation("leaky", f"{name}.leaky")
