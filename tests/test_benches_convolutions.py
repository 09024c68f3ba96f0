"""The shapes of tests/benches/convolutions.py against the products that papers and torchvision say they need."""

from __future__ import annotations

import pytest

from tests.benches.convolutions import NETWORKS, mobilenet2_network

# Millions of products of the convolutions alone, padding counted (torchvision's documentation, rounded; the papers).
MILLIONS = {
    "vgg-16": 15_347,
    "resnet-18": 1_814,
    "resnet-50": 4_087,
    "squeezenet-1.1": 349,
    "mobilenet-v1": 568,
    "mobilenet-v2": 300,
}


@pytest.mark.parametrize("name", MILLIONS)
def test_shapes_have_the_products_that_are_published(name: str) -> None:
    found = sum(c.macs for c in NETWORKS[name]()) / 1e6
    assert found == pytest.approx(MILLIONS[name], rel=0.005)


def test_the_whole_mobilenet_has_the_same_convolutions() -> None:
    network = mobilenet2_network()
    convolutions = [layer for layer in network.layers if "conv" in layer.name or "block" in layer.name]
    assert len(convolutions) == len(NETWORKS["mobilenet-v2"]()) == 52
    assert sum(layer.residual is not None for layer in network.layers) == 10
