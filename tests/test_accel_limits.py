"""The compiler at the limits of commands and buffers: exact, or refused for the reason that it is."""

from __future__ import annotations

import numpy as np
import pytest

from accel import records
from accel.commands import Compute, ConfigCompute, ConfigPost, Load, Post, most
from accel.compile import compile_network
from accel.compiler.lower.window import LARGEST_KERNEL
from accel.datapath import FACTOR_BITS
from accel.design import Design
from accel.layout import WordTensor
from accel.models.errors import InputError
from accel.models.integers import checks, layers
from accel.models.integers.network import IntegerNetwork
from accel.models.quantisation import matrix_form
from accel.models.reference.int8 import run
from accel.models.window import Window
from accel.program import Program
from accel.sim.execute import execute
from accel.timing.recurrence import time_program
from tests.benches.layers import SAME, Maker, design_of, matrix, max_pool, network_of


def assert_exact(network: IntegerNetwork, design: Design) -> Program:
    program = compile_network(network, design)
    shape = network.tensors[network.input].shape
    codes = np.random.default_rng(1).integers(-128, 128, (1, *shape)).astype(np.int8)
    np.testing.assert_array_equal(execute(program, codes), run(network, codes)[network.output])
    time_program(program)
    return program


def computes(program: Program) -> list[Compute]:
    return [c for c in program.commands if isinstance(c, Compute)]


@pytest.mark.parametrize("pixels", [1, 2])
def test_more_channel_groups_than_a_command_can_have(pixels: int) -> None:
    network = network_of((40000, 1, pixels), SAME, matrix(2, Window((1, 1)), [0, 1]))
    program = assert_exact(network, design_of(1, 1, 512))
    assert sum(c.groups * c.n_tiles for c in computes(program)) == 2 * 40000


@pytest.mark.parametrize("across", [False, True])
def test_a_pooling_whose_convolution_reaches_too_far_runs_by_itself(across: bool) -> None:
    """One output of the pooling needs 64 of the convolution, which are made from 63 * 15 + 3781 pixels."""

    def pair(long: int) -> tuple[int, int]:
        return (1, long) if across else (long, 1)

    conv = matrix(3, Window(pair(64), pair(15), (0, 0, 0, 0), pair(60)))
    network = network_of((4, *pair(9000)), SAME, conv, max_pool(Window(pair(64), pair(20))))
    program = assert_exact(network, design_of(4, 4, 32))
    assert [info.kind for info in program.layers] == ["maxpool", "conv", "maxpool"]


def test_a_pooling_whose_convolution_does_not_fit_the_accumulators_runs_by_itself() -> None:
    """A beat of four pooled pixels would need 4 * 9 sums at once."""
    network = network_of((4, 12, 24), SAME, matrix(4, Window((1, 1))), max_pool(Window((3, 3), (3, 3))))
    program = assert_exact(network, design_of(4, 4, accumulator_bytes=2 * 16 * 20))
    assert [info.kind for info in program.layers] == ["maxpool", "conv", "maxpool"]


def test_a_first_layer_is_written_dense_only_if_that_fits() -> None:
    network = network_of((3, 20, 20), matrix(8, Window((3, 3), dilation=(2, 1)), [3, 77]))
    assert [i.weight_format for i in assert_exact(network, design_of(8, 8)).layers] == ["dense (no 0 in its codebook)"]
    small = assert_exact(network, design_of(8, 8, weight_bytes=100))
    assert [i.weight_format for i in small.layers] == ["shared1"]


def test_a_first_layer_is_unfolded_only_if_that_fits() -> None:
    """A window takes 13 words, of which there are ten in a bank; as words it takes two rows of five, padding none."""
    network = network_of((5, 4, 5), matrix(8, Window((2, 7), (2, 1), (0, 4, 0, 4), (1, 2))))
    assert not isinstance(assert_exact(network, design_of(12, 7)).input.layout, WordTensor)
    program = assert_exact(network, design_of(12, 7, activation_bytes=256))
    assert isinstance(program.input.layout, WordTensor)


def test_parameters_are_short_by_whole_beats() -> None:
    """17 records of one word each, eight of which come with a beat."""
    network = network_of((8, 1, 1), matrix(17, Window((1, 1))))
    with pytest.raises(InputError, match=r"one tile needs 192 bytes of parameter_bytes, the design has 128"):
        compile_network(network, design_of(8, 17, 512, parameter_bytes=128))
    assert_exact(network, design_of(8, 17, 512, parameter_bytes=192))


@pytest.mark.parametrize(
    ("shape", "layers", "message"),
    [
        (
            (4, 8, 8), [matrix(4, Window((1, 1)), low=-20), max_pool(Window((2, 2), (2, 2), (2, 2, 2, 2)))],
            r"layer 'layer1' \(MaxPool\): max pooling must have pads below its kernel, not \(2, 2, 2, 2\)",
        ),
        (
            (4, 1, 200), [matrix(4, Window((1, 1))), max_pool(Window((1, 64), (1, 64)))],
            r"layer 'layer1' \(MaxPool\): stride must be at most 31, not 64",
        ),
        (
            (1, 1, 6000), [matrix(3, Window((1, 127), dilation=(1, 40)))],
            r"layer 'layer0' \(Conv or Gemm\): a kernel must reach over at most 4095 pixels, not 5041",
        ),
        (
            (3, 8, 8), [matrix(3, Window((3, 3), (15, 15), (0, 5000, 0, 5000)))],
            r"layer 'layer0' \(Conv or Gemm\): windows must start at -4096..4095 of a padded input, not -5000..5005",
        ),
    ],
    ids=["pads", "stride", "reach", "start"],
)  # fmt: skip
def test_what_no_command_can_say_is_refused(shape: tuple[int, int, int], layers: list[Maker], message: str) -> None:
    with pytest.raises(InputError, match=f"^limits: {message}$"):
        compile_network(network_of(shape, *layers), design_of(4, 4))


def test_padding_up_to_the_limit() -> None:
    network = network_of((3, 4, 4), matrix(3, Window((3, 3), (15, 15), (0, 4000, 0, 4000))), SAME)
    assert_exact(network, design_of(4, 4))


def test_a_pooling_reaches_over_more_columns_than_a_command_can_say() -> None:
    """Every third of 4,096 columns: a POST sees 4,095."""
    network = network_of((4, 1, 4096), max_pool(Window((1, 1), (1, 3))))
    posts = [c for c in assert_exact(network, design_of(4, 4)).commands if isinstance(c, Post)]
    assert len(posts) > 1
    assert sum(c.out_w for c in posts) == 1366


def test_a_fully_connected_layer_reads_more_beats_than_a_load_can_say() -> None:
    """273,000 bytes by window loads, four a beat: a LOAD has 65,535 beats at most."""
    network = network_of((17, 127, 127), matrix(2, Window((127, 127)), [0, 1]))
    program = assert_exact(network, design_of(63, 7, 32))
    loads = [c for c in program.commands if isinstance(c, Load) and c.window]
    assert len(loads) > 1
    assert sum(c.row_beats for c in loads) >= 17 * 127 * 127 // 4


def test_an_input_whose_rows_are_too_long_for_window_loads_is_read_as_words() -> None:
    """13,333 windows of 45 bytes are 150,000 beats of four bytes."""
    network = network_of((3, 1, 200_000), matrix(2, Window((1, 3), (1, 15))))
    program = assert_exact(network, design_of(16, 2, 32, activation_bytes=1 << 23))
    assert isinstance(program.input.layout, WordTensor)
    short = network_of((3, 1, 20_000), matrix(2, Window((1, 3), (1, 15))))
    assert not isinstance(assert_exact(short, design_of(16, 2, 32)).input.layout, WordTensor)


@pytest.mark.parametrize("pads", [(0, 0, 0, 0), (1, 1, 1, 1)])
def test_a_row_may_be_longer_than_a_row_pitch_can_say(pads: tuple[int, int, int, int]) -> None:
    """66,000 words, where CONFIG_POST has 16 bits; with pads, whose columns are counted, 4,095 at most."""
    width = 66_000 if not any(pads) else 4095
    kernel = (3, 3) if any(pads) else (1, 3)
    network = network_of((4, 1, width), max_pool(Window(kernel, pads=pads)), matrix(4, Window((1, 3))))
    assert_exact(network, design_of(4, 4))


def test_an_unfolded_kernel_may_not_be_wider_apart_than_a_command_can_say() -> None:
    """Two of four rows, 32 apart, side by side in the lanes: the others would be 64 rows below, a command says 63."""
    network = network_of((1, 100, 30), matrix(40, Window((4, 1), dilation=(32, 1))))
    program = assert_exact(network, design_of(2, 4))
    assert max(c.dilation_y for c in program.commands if isinstance(c, ConfigCompute)) <= 63
    near = network_of((1, 100, 30), matrix(40, Window((4, 1), dilation=(31, 1))))
    program = assert_exact(near, design_of(2, 4))
    assert max(c.dilation_y for c in program.commands if isinstance(c, ConfigCompute)) == 62


@pytest.mark.parametrize(
    ("window", "shape", "message"),
    [
        (Window((128, 1)), (4, 200, 4), "kernel must be at most 127 x 127, not 128 x 1"),
        (Window((1, 1), (1, 16)), (4, 20, 40), "stride must be at most 15, not 16"),
        (Window((1, 2), dilation=(1, 64)), (4, 4, 200), "dilation must be at most 63, not 64"),
        (
            Window((1, 1), (1, 1), (0, 0, 0, 1)), (4, 1, 4096),
            "a padded input must be at most 4095 x 4095, not 1 x 4096",
        ),
        (
            Window((1, 66), dilation=(1, 63)), (4, 1, 4200),
            "a kernel must reach over at most 4095 pixels, not 4096",
        ),
        (
            Window((1, 1), (1, 1), (0, 4097, 0, 0)), (4, 1, 4),
            "windows must start at -4096..4095 of a padded input, not -4097..3",
        ),
    ],
)  # fmt: skip
def test_windows_at_the_limits_of_the_fields(window: Window, shape: tuple[int, int, int], message: str) -> None:
    """Each is refused by one more than fits, and what fits runs."""
    with pytest.raises(InputError, match=f"^limits: layer 'layer1' .Conv or Gemm.: {message}$"):
        compile_network(network_of(shape, SAME, matrix(4, window)), design_of(4, 4))


@pytest.mark.parametrize(
    ("window", "shape"),
    [
        (Window((127, 1)), (4, 128, 4)),
        (Window((1, 1), (15, 15)), (4, 20, 40)),
        (Window((1, 2), dilation=(1, 63)), (4, 4, 66)),
        (Window((1, 1), (1, 1), (0, 0, 0, 1)), (4, 1, 4094)),
        (Window((1, 64), dilation=(1, 65 - 2)), (4, 1, 3972)),
        (Window((1, 1), (15, 15), (0, 4096, 0, 0)), (4, 1, 4)),
    ],
)
def test_windows_that_just_fit_run(window: Window, shape: tuple[int, int, int]) -> None:
    assert_exact(network_of(shape, SAME, matrix(4, window)), design_of(4, 4))


@pytest.mark.parametrize(("outputs", "unfolded"), [(16383, True), (16384, False)])
def test_a_window_load_has_no_more_words_than_its_field_says(outputs: int, unfolded: bool) -> None:
    program = assert_exact(network_of((1, 1, outputs + 2), matrix(4, Window((1, 3)))), design_of(4, 4, 32))
    assert isinstance(program.input.layout, WordTensor) != unfolded


@pytest.mark.parametrize("width", [8190, 8191, 8193])
def test_a_line_of_the_output_may_be_longer_than_a_store_can_say(width: int) -> None:
    """8,191 words to the next line, where the last beat of a line is not full."""
    assert_exact(network_of((4, 1, width + 2), SAME, matrix(4, Window((1, 3)))), design_of(4, 4))


@pytest.mark.parametrize("accumulators", [12, 6])
def test_what_is_added_comes_once_for_tiles_that_share_words(accumulators: int) -> None:
    """Tiles of three channels, words of four: the operand of a strip comes with its first tile, for all of them."""
    network = network_of((12, 6, 6), SAME, matrix(12, Window((1, 1)), residual="layer0:out"))
    design = design_of(4, 3, 32, activation_bytes=2 * 4 * 60, accumulator_bytes=8 * 3 * accumulators)
    program = assert_exact(network, design)
    assert len({c.dst_chunk for c in program.commands if isinstance(c, Post) and not c.from_activation}) == 4


def test_what_import_leaves_to_the_host_is_what_no_command_holds() -> None:
    assert matrix_form.LARGEST_KERNEL == LARGEST_KERNEL == most(ConfigCompute, "kernel_w")
    assert matrix_form.LARGEST_STRIDE == most(ConfigCompute, "stride_y") == most(ConfigCompute, "stride_x")


def test_what_an_integer_network_may_have_is_what_commands_and_multipliers_hold() -> None:
    """A shift beyond 47 would leave nothing of the product of a 32-bit sum and a multiplier, whatever its field."""
    assert layers.LARGEST_MULTIPLIER == most(ConfigPost, "uniform_multiplier") == most(ConfigPost, "res_multiplier")
    assert (1 << records.MULTIPLIER.bits) - 1 == layers.LARGEST_MULTIPLIER
    bits = most(ConfigPost, "uniform_multiplier").bit_length()
    assert checks.SUM_BITS - 1 + bits == layers.LARGEST_SHIFT
    assert min(most(ConfigPost, "uniform_shift"), most(ConfigPost, "res_shift")) >= layers.LARGEST_SHIFT
    assert 1 << records.SHIFT.bits > layers.LARGEST_SHIFT
    # A bias with any code added fits the first operand of a product.
    assert checks.LARGEST_FACTOR - layers.CODES[0] == (1 << FACTOR_BITS - 1) - 1
