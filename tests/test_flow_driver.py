"""The C driver that `accel emit` writes: on the emitted Verilog, and its pack and unpack against the compiler's."""

from __future__ import annotations

import ctypes
import subprocess
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accel.commands import COMMAND_BYTES, ErrorCode, Load
from accel.compile import compile_series
from accel.design import Design
from accel.events import Event
from accel.layout import RowTensor, WordTensor, stride_bytes
from accel.models.reference import int8
from accel.program import Placement
from accel.series import Series
from accel.sim.execute.facts import run_series, time_executed
from tests.benches.draw import draw_ends, draw_network
from tests.benches.driver import UNUSED, BuiltDriver, Outcome, Plan, compiled, sources
from tests.benches.emitted import GAPS
from tests.benches.verilator import Case, case_of, case_of_series

MOVES = ("images", "input_move", "input_step", "output_move", "output_step")
BASE = 0x12_3450_0000  # beyond 32 bits
OK, BUSY, DRAINING, WAITING, IDLE, WRONG_VERSION, WRONG_ARRAY, WRONG_ADDRESS = 0, -1, -2, -3, -4, -5, -6, -7


@cache
def several_ends() -> tuple[Series, np.ndarray, np.ndarray]:
    """A network on `GAPS` with several inputs and outputs: its programs, codes of three inputs, and of their outputs by
    the reference."""
    for seed in range(1000):
        rng = Random(seed)
        network = draw_ends(rng, draw_network(rng))
        series = compile_series(network, GAPS)
        program = series.first
        if len(program.inputs) > 1 and len(program.outputs) > 1:
            size = sum(int(np.prod(place.shape)) for place in program.inputs)
            codes = np.random.default_rng(seed).integers(-128, 128, (3, size)).astype(np.int8)
            outputs = int8.run(network, codes)
            return series, codes, np.concatenate([outputs[p.name].reshape(3, -1) for p in program.outputs], axis=1)
    raise AssertionError("no such network")


@pytest.mark.rtl
def test_on_the_verilog(tmp_path: Path) -> None:
    """Polling and interrupt; every error that a run can end with, stop, drain, reset; and a right run after each."""
    series, codes, outputs = several_ends()
    program, expected = series.first, outputs[0]
    built = BuiltDriver(series, tmp_path)
    steady = replace(case_of(program, codes[0]), dram_base=BASE, max_cycles=1_000_000)
    opcode, beyond = steady.memory.copy(), steady.memory.copy()
    opcode[program.program_offset] |= 15
    number = next(k for k, command in enumerate(program.commands) if isinstance(command, Load))
    beyond[program.program_offset + COMMAND_BYTES * number + 11] = 0x80  # of its dram_addr
    layout, cycles = series.layout(3), time_executed(program, codes[0]).events[Event.CYCLES]
    spread = Plan(**{name: getattr(layout, name) for name in MOVES})
    many = replace(case_of_series(series, layout, codes), dram_base=BASE, max_cycles=1_000_000)
    frozen = replace(steady, freeze_at=100, freeze_cycles=30_000, watchdog=3_000)
    runs: dict[str, tuple[Case, Plan]] = {
        "polling": (steady, Plan()),
        "interrupt": (steady, Plan(interrupt=True)),
        "stalls": (replace(steady, stall_seed=5), Plan(interrupt=True)),
        "opcode": (replace(steady, memory=opcode), Plan()),
        "range": (replace(steady, memory=beyond), Plan()),
        "response": (replace(steady, bad_read_beat=7), Plan(interrupt=True)),
        "frozen": (frozen, Plan()),
        "stopped": (steady, Plan(polls=1)),
        "stopped in vain": (replace(frozen, watchdog=0), Plan(polls=10, stop_polls=10, restart=True)),
        "reset": (replace(frozen, freeze_cycles=1 << 40), Plan(drain_polls=3, restart=True)),
        "version": (steady, Plan(version=1)),
        "array": (steady, Plan(array=0x100)),
        "alignment": (steady, Plan(base_offset=2048)),
        "images": (many, spread),
        "images by interrupt": (replace(many, stall_seed=9), replace(spread, interrupt=True)),
        "images stopped": (many, replace(spread, polls=1 + cycles // 50)),
        "elsewhere": (many, replace(spread, images=1)),
        "move": (many, replace(spread, input_move=layout.input_move + 16)),
        "step": (many, replace(spread, output_step=layout.output_step + 64)),
        "close": (many, replace(spread, input_step=0)),
        "far": (many, replace(spread, images=0x10000)),
    }
    # After each of them an ordinary run, on the same hardware.
    done = built.run(codes, [one for run in runs.values() for one in (run, (steady, Plan()))])
    found = dict(zip(runs, done[::2], strict=True))
    for name in ("polling", "interrupt", "stalls"):
        check_run(found[name], expected)
    for name, after in zip(runs, done[1::2], strict=True):
        check_run(after, expected)
        assert after.images == 1
        assert after.cycles == found["polling"].cycles == found["interrupt"].cycles == cycles, name
    for name, code in (
        ("opcode", ErrorCode.OPCODE),
        ("range", ErrorCode.DRAM_RANGE),
        ("response", ErrorCode.AXI_RESPONSE),
    ):
        assert results(found[name]) == (OK, OK, BUSY, code, UNUSED, UNUSED, OK, UNUSED, code), name
    assert results(found["frozen"]) == (OK, OK, BUSY, 6, UNUSED, DRAINING, OK, UNUSED, 6)
    assert results(found["stopped"]) == (OK, OK, BUSY, WAITING, OK, UNUSED, OK, UNUSED, 8)
    assert results(found["stopped in vain"]) == (OK, OK, BUSY, WAITING, WAITING, BUSY, BUSY, OK, IDLE)
    assert results(found["reset"]) == (OK, OK, BUSY, 6, UNUSED, DRAINING, DRAINING, OK, 6)
    for name in ("stopped in vain", "reset"):
        np.testing.assert_array_equal(found[name].codes, expected)
    for name, images in (("images", 3), ("images by interrupt", 3), ("elsewhere", 1)):
        check_run(found[name], outputs[:images].ravel())
        assert found[name].images == images
    assert found["elsewhere"].cycles == cycles
    assert found["images"].cycles == sum(timing.cycles for timing, _ in run_series(series, layout, codes)[1])
    assert results(found["images stopped"]) == (OK, OK, BUSY, WAITING, OK, UNUSED, OK, UNUSED, ErrorCode.ABORTED)
    assert found["images stopped"].images == 1
    np.testing.assert_array_equal(found["images stopped"].codes[: len(expected)], expected)
    wrong = {name: WRONG_ADDRESS for name in ("alignment", "move", "step", "close", "far")}
    for name, code in {"version": WRONG_VERSION, "array": WRONG_ARRAY, **wrong}.items():
        assert results(found[name]) == (code, *[UNUSED] * 8), name
        assert found[name].read_beats == 0


def check_run(outcome: Outcome, expected: np.ndarray) -> None:
    """A run that ended well, whose outputs the driver unpacked."""
    assert results(outcome) == (OK, OK, BUSY, OK, UNUSED, UNUSED, OK, UNUSED, OK)
    assert not outcome.irq
    np.testing.assert_array_equal(outcome.codes, expected)


def results(outcome: Outcome) -> tuple[int, ...]:
    """What the functions returned."""
    return tuple(
        getattr(outcome, name)
        for name in ("init", "start", "again", "wait", "stop", "refused", "drain", "second", "last")
    )


class Tensor(ctypes.Structure):
    """`struct accel_tensor`."""

    _fields_ = (
        ("layout", ctypes.c_int),
        *((name, ctypes.c_uint32) for name in ("offset", "bytes", "channels", "height", "width", "row_pitch")),
        *((name, ctypes.c_uint32) for name in ("lanes", "stride", "plane")),
        *((f"pad_{side}", ctypes.c_uint32) for side in ("top", "left", "bottom", "right")),
        ("pad_value", ctypes.c_int8),
        ("zero_point", ctypes.c_int8),
        ("scale", ctypes.c_float),
    )


class Network(ctypes.Structure):
    """`struct accel_network`."""

    _fields_ = (
        *((name, ctypes.c_char_p) for name in ("name", "design")),
        *((name, ctypes.c_uint32) for name in ("version", "array", "address_bits", "image_bytes", "dram_bytes")),
        *((name, ctypes.c_uint32) for name in ("program_offset", "program_count", "next_offset", "next_count")),
        *((name, ctypes.c_uint32) for name in ("input_first", "input_end", "output_first", "output_end")),
        *((name, ctypes.c_uint32) for name in ("inputs_count", "outputs_count")),
        ("inputs", ctypes.POINTER(Tensor)),
        ("outputs", ctypes.POINTER(Tensor)),
    )


def shared(series: Series, folder: Path) -> ctypes.CDLL:
    """The driver and the header of programs as a library."""
    sources(series, folder)
    objects = compiled(folder, "-fPIC")
    subprocess.run(["cc", "-shared", *objects, "-o", folder / "driver.so"], check=True)
    library = ctypes.CDLL(str(folder / "driver.so"))
    library.accel_text.restype = ctypes.c_char_p
    library.accel_quantise.argtypes = [ctypes.POINTER(Tensor), ctypes.c_float]
    library.accel_quantise.restype = ctypes.c_int8
    library.accel_dequantise.argtypes = [ctypes.POINTER(Tensor), ctypes.c_int8]
    library.accel_dequantise.restype = ctypes.c_float
    return library


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return shared(several_ends()[0], tmp_path_factory.mktemp("c"))


@st.composite
def designs(draw: st.DrawFn) -> Design:
    """What of a design tensors depend on."""
    rows, bits = draw(st.integers(1, 20)), draw(st.sampled_from([32, 64, 128, 256, 512]))
    memory = GAPS.memory.model_copy(update={"axi_bits": bits})
    return GAPS.model_copy(update={"array": GAPS.array.model_copy(update={"rows": rows}), "memory": memory})


@st.composite
def placements(draw: st.DrawFn) -> Placement:
    """A tensor in words or in rows, with more room than it needs."""
    channels, height, width = (draw(st.integers(1, 9)) for _ in range(3))
    more = draw(st.integers(0, 5))
    offset, scale, zero_point = (
        64 * draw(st.integers(0, 9)),
        draw(st.floats(2.0**-10, 9, width=32)),
        draw(st.integers(-128, 127)),
    )
    if draw(st.booleans()):
        pitch = width + draw(st.integers(0, 3))
        layout = WordTensor(channels, height, width, pitch, pitch * height + more)
        return Placement("x", offset, layout, scale, zero_point)
    pads = tuple(draw(st.integers(0, 3)) for _ in range(4))
    pitch = (width + pads[1] + pads[3]) * channels + more
    return Placement(
        "x", offset, RowTensor(channels, height, width, pads, pitch, draw(st.integers(-128, 127))), scale, zero_point
    )  # type: ignore[arg-type]


def tensor_of(place: Placement, design: Design) -> Tensor:
    """What the header has of a placement."""
    layout, found = place.layout, Tensor(scale=place.scale, zero_point=place.zero_point)
    found.offset, found.bytes = place.offset, place.bytes(design)
    found.channels, found.height, found.width = place.shape
    if isinstance(layout, RowTensor):
        found.layout, found.row_pitch, found.pad_value = 1, layout.pitch_bytes, layout.pad_value
        found.pad_top, found.pad_left, found.pad_bottom, found.pad_right = layout.pads
        return found
    found.row_pitch, found.plane, found.lanes = layout.row_pitch, layout.plane, design.word_lanes
    found.stride = stride_bytes(design.word_lanes, design.beat_bytes)
    return found


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(design=designs(), place=placements(), seed=st.integers(0, 1 << 30))
def test_pack_and_unpack(library: ctypes.CDLL, design: Design, place: Placement, seed: int) -> None:
    """Every byte as the compiler's own packing has it; unpacked, the codes are there again."""
    codes = np.random.default_rng(seed).integers(-128, 128, place.shape).astype(np.int8)
    program = replace(several_ends()[0].first, design=design, input=place, output=place)
    memory = np.full(place.bytes(design) + 8, 0x77, np.uint8)
    tensor = tensor_of(place, design)
    library.accel_pack(
        ctypes.byref(tensor), codes.ctypes.data_as(ctypes.c_void_p), memory.ctypes.data_as(ctypes.c_void_p)
    )
    np.testing.assert_array_equal(memory[:-8], program.pack_input(codes))
    assert (memory[-8:] == 0x77).all()
    back = np.zeros_like(codes)
    library.accel_unpack(
        ctypes.byref(tensor), memory.ctypes.data_as(ctypes.c_void_p), back.ctypes.data_as(ctypes.c_void_p)
    )
    np.testing.assert_array_equal(back, codes)


@given(place=placements(), values=st.lists(st.floats(-2000, 2000, width=32), min_size=1))
def test_quantise(library: ctypes.CDLL, place: Placement, values: list[float]) -> None:
    """As the reference does with float32, halves included."""
    tensor = tensor_of(place, GAPS)
    halves = [np.float32(place.scale) * np.float32(k + 0.5) for k in range(-6, 6)]
    floats = np.array([*values, *halves], np.float32).reshape(1, -1, 1, 1)
    wanted = int8.codes_of(int8.TensorSpec("x", floats.shape[1:], place.scale, place.zero_point), floats, "x").ravel()
    for value, code in zip(floats.ravel().tolist(), wanted.tolist(), strict=True):
        assert library.accel_quantise(ctypes.byref(tensor), value) == code
        meant = library.accel_dequantise(ctypes.byref(tensor), code)
        assert meant == pytest.approx((code - place.zero_point) * place.scale, rel=1e-6)


def test_texts(library: ctypes.CDLL) -> None:
    texts = [library.accel_text(code).decode() for code in range(-7, len(ErrorCode))]
    assert texts[7:] == [code.text for code in ErrorCode]
    assert len(set(texts)) == len(texts)
    assert library.accel_text(-8) == library.accel_text(len(ErrorCode)) == b"no such result"


@pytest.mark.parametrize("network", ["several ends", "rows with pads"])
def test_the_header_of_a_network(network: str, tmp_path: Path) -> None:
    """What C reads in `accel_network.h` is what the program says."""
    series = several_ends()[0]
    program = series.first
    if network == "rows with pads":
        layout = RowTensor(3, 5, 7, (1, 2, 3, 4), 48, -7)
        program = replace(program, input=Placement('a "name"', 192, layout, 3.0, -4), more_inputs=())
        series = replace(series, first=program)
    found = ctypes.POINTER(Network).in_dll(shared(series, tmp_path), "the_network").contents
    assert (found.name.decode(), found.design.decode()) == (program.name, program.design.name)
    assert (found.address_bits, found.dram_bytes) == (64, program.dram_bytes)
    assert (found.program_offset, found.program_count) == (program.program_offset, program.first_fetch)
    assert (found.next_offset, found.next_count) == (series.following.program_offset, series.following.first_fetch)
    assert (found.input_first, found.input_end) == program.input_span
    assert (found.output_first, found.output_end) == program.output_span
    for places, count, tensors in (
        (program.inputs, found.inputs_count, found.inputs),
        (program.outputs, found.outputs_count, found.outputs),
    ):
        assert count == len(places)
        for place, tensor in zip(places, tensors[:count], strict=True):
            assert bytes(tensor) == bytes(tensor_of(place, program.design))
