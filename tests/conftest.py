"""Options of the random cross-checks and of the trainings on real data."""

from __future__ import annotations

import gc
import os
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from tests.benches import BUILDS, onnx_models
from tests.benches.kernels import WORTH, compile_kernels
from tests.benches.wide import is_wide, set_wide

# Files with tests of a minute and more: they begin first, so that at the end no process waits for one that began last.
FIRST = ("test_flow_emit.py", "test_flow_emit_core.py", "test_cross_networks.py", "test_cross_core.py")
# Of a default run, and of a wide one.
SIZES = {"designs": (10, 40), "cores": (1, 4), "layer_cases": (7, 20), "fuzz_cases": (200, 400)}

# Some refused or long cases in a row, or a busy machine, are no failure: `counted` says how many a test must have.
CHANCE = (HealthCheck.filter_too_much, HealthCheck.data_too_large, HealthCheck.too_slow)
settings.register_profile("drawn", suppress_health_check=CHANCE)
settings.load_profile("drawn")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("accel")
    group.addoption("--wide", action="store_true", help="three times the draws, and all designs: what .ci/run does")
    group.addoption("--designs", type=int, help="random designs that are built as Verilog: 10, or 40 if --wide")
    group.addoption("--first-design", type=int, default=0, help="seed of the first random design")
    group.addoption("--cores", type=int, help="random designs without DRAM that are built as Verilog: 1, or 4")
    group.addoption("--layer-cases", type=int, help="networks on each random design: 7, or 20")
    group.addoption("--fuzz-cases", type=int, help="mutated files of every kind (tests/test_fuzz.py): 200, or 400")
    group.addoption("--fuzz-seed", type=int, default=0, help="seed of the mutations")
    group.addoption(
        "--mlperf-tiny", help="folder with MLPerf Tiny's models and samples, for tests/test_models_tflite.py"
    )
    group.addoption("--mnist", help="folder with the IDX files of MNIST, for tests/test_published_results.py")
    group.addoption("--fashion", help="the same of Fashion-MNIST")
    group.addoption("--cifar", help="folder with CIFAR-10 as images: train.zip and test.zip, or train and test")
    group.addoption("--results", help="folder in which those tests keep what they train")


def pytest_configure(config: pytest.Config) -> None:
    """Of several processes each does its linear algebra in one thread: more threads than cores wait for each other by
    spinning, which costs ten times the processor time of what they compute. Processes inherit it.

    Sizes that are not given are those of a wide run, or of the default one."""
    set_wide(config.getoption("--wide"))
    for name, (narrow, all_of_them) in SIZES.items():
        if getattr(config.option, name) is None:
            setattr(config.option, name, all_of_them if is_wide() else narrow)
    if getattr(config.option, "numprocesses", None):
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            os.environ.setdefault(name, "1")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what only a wide run has, and begin with what takes longest."""
    items.sort(key=lambda item: item.path.name not in FIRST)
    if is_wide():
        return
    kept, left_out = list[pytest.Item](), list[pytest.Item]()
    for item in items:
        (left_out if item.get_closest_marker("wide") else kept).append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = kept


def pytest_collection_finish() -> None:
    """Amaranth's hardware and its simulator make millions of small objects that live long: look for garbage rarely."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "design_seed" in metafunc.fixturenames:
        first, count = metafunc.config.getoption("--first-design"), metafunc.config.getoption("--designs")
        metafunc.parametrize("design_seed", range(first, first + count))
    if "core_seed" in metafunc.fixturenames:
        metafunc.parametrize("core_seed", range(metafunc.config.getoption("--cores")))


@pytest.fixture(autouse=True)
def _draws_of_its_own(request: pytest.FixtureRequest) -> None:
    """A test draws from its module's generators, and from that of `floats`, what its name says.

    Otherwise the tests that a process ran before would decide, and a failure would not come back alone.
    """
    name = request.node.nodeid.partition("::")[2]
    fresh = np.random.default_rng(zlib.crc32(name.encode())).bit_generator.state
    for value in (onnx_models.RANDOM, *vars(request.module).values()):
        if isinstance(value, np.random.Generator):
            value.bit_generator.state = fresh


@pytest.fixture(autouse=True, scope="session")
def _nothing_is_kept(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[None]:
    """Tests compute what they look at: no comparison is read from the user's cache, and none is left there.

    All processes of the session share compiled kernels and the Verilog that they build. In a run of many tests the
    first process compiles the kernels at once; each would take ten seconds longer until it compiles them by itself.
    """
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCEL_CACHE", "off")
        patch.setenv("ACCEL_KERNELS", str(shared / "kernels"))
        patch.setenv(BUILDS, str(shared / "builds"))
        first = os.environ.get("PYTEST_XDIST_WORKER", "gw0") == "gw0"
        if first and len(request.session.items) > WORTH:
            compile_kernels()
        yield
