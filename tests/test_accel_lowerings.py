"""The lowering table: a row for every kind of step on every engine, and nothing else in the way of a new one."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import get_args

import numpy as np
import pytest

from accel.compile import compile_network
from accel.compiler.lower.table import LOWERINGS, lowering
from accel.compiler.lower.vector import VECTOR
from accel.compiler.step import KIND_OF
from accel.design import Design, Sparse, Systolic
from accel.models.errors import InputError
from accel.models.integers.network import VectorLayer
from accel.models.reference.int8 import run
from accel.models.window import Window
from accel.sim.execute import execute
from tests.benches.layers import SAME, design_of, matrix, max_pool, network_of

ENGINES = {"systolic": Systolic(), "sparse": Sparse()}


def test_every_kind_has_a_row_for_every_engine() -> None:
    declared = Design.model_fields["engine"].annotation
    classes = get_args(declared) or (declared,)
    engines = [kind for engine in classes for kind in get_args(engine.model_fields["kind"].annotation)]
    assert engines
    assert set(LOWERINGS) == {(kind, engine) for kind in (*KIND_OF.values(), "filter") for engine in engines}


def test_a_layer_finds_its_row() -> None:
    network = network_of((4, 6, 6), SAME, matrix(4, Window((3, 3))))
    found = [lowering(layer, design_of(4, 4)) for layer in network.layers]
    assert found == [LOWERINGS["vector", "systolic"], LOWERINGS["matrix", "systolic"]]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_layer_that_the_post_process_can_do_finds_a_row_too(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = network_of((4, 6, 6), matrix(4, Window((3, 3)), groups=4)).layers[0]
    array = design_of(4, 4).model_copy(update={"engine": ENGINES[engine]})
    filters = array.model_copy(update={"filter_multipliers": 9})
    for design, kind in ((array, "matrix"), (filters, "filter")):
        assert lowering(layer, design) is LOWERINGS[kind, engine]
        row = replace(LOWERINGS[kind, engine])
        with monkeypatch.context() as context:
            context.setitem(LOWERINGS, (kind, engine), row)
            assert lowering(layer, design) is row


@dataclass(frozen=True)
class Peak(VectorLayer):
    """A kind of step that the compiler has never heard of."""


def test_a_new_kind_of_step_is_a_class_and_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    network = network_of((4, 8, 8), SAME, max_pool(Window((2, 2), (2, 2))), matrix(4, Window((3, 3))))
    pool = network.layers[1]
    peak = Peak(**{field.name: getattr(pool, field.name) for field in fields(pool)})
    network = replace(network, layers=(network.layers[0], peak, network.layers[2]))
    design = design_of(4, 4)
    with pytest.raises(KeyError):
        compile_network(network, design)

    def check(layer: Peak, *rest: object) -> None:
        if layer.window.kernel != (2, 2):
            raise InputError("a peak must be of 2 x 2")

    row = replace(
        VECTOR, operator=lambda layer: "Peak", check=check,
        info=lambda *arguments: replace(VECTOR.info(*arguments), kind="peak"),
    )  # fmt: skip
    monkeypatch.setitem(KIND_OF, Peak, "peak")
    monkeypatch.setitem(LOWERINGS, ("peak", "systolic"), row)
    program = compile_network(network, design)
    assert [info.kind for info in program.layers] == ["maxpool", "peak", "conv"]
    codes = np.random.default_rng(0).integers(-128, 128, (2, 4, 8, 8)).astype(np.int8)
    np.testing.assert_array_equal(execute(program, codes), run(network, codes)[network.output])
    fusing = network_of((4, 8, 8), SAME, matrix(4, Window((1, 1))), max_pool(Window((2, 2), (2, 2))))
    assert [info.kind for info in compile_network(fusing, design).layers] == ["maxpool", "conv+maxpool"]
    last = Peak(**{field.name: getattr(fusing.layers[2], field.name) for field in fields(pool)})
    apart = replace(fusing, layers=(*fusing.layers[:2], last))  # nobody takes a layer along whose kind is not known
    assert [info.kind for info in compile_network(apart, design).layers] == ["maxpool", "conv", "peak"]
    wrong = network_of((4, 8, 8), SAME, max_pool(Window((1, 2))))
    peak = Peak(**{field.name: getattr(wrong.layers[1], field.name) for field in fields(VectorLayer)})
    with pytest.raises(InputError, match=r"^limits: layer 'layer1' \(Peak\): a peak must be of 2 x 2$"):
        compile_network(replace(wrong, layers=(wrong.layers[0], peak)), design)
