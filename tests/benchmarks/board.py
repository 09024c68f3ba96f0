"""What networks take of a board and how long they run there: `python -m tests.benchmarks.board`.

Cycles are the simulator's, which `host.py` of an emitted board compares with the hardware's.
"""

from __future__ import annotations

from accel.board import BOARDS, Board, default_design, design_on, memory_brams
from accel.compile import compile_network
from accel.design import Design, load
from accel.flow import int8
from accel.models.errors import InputError
from accel.sim.result import simulate

NETWORKS = (("lenet-5", "dense"), ("lenet-5", "tucker-deep"), ("resnet-8", ""), ("ds-cnn", ""))


def designs(board: Board) -> tuple[Design, ...]:
    """What the board is made with if nobody says otherwise, and the design that has the board's name."""
    return default_design(board), load(board.name)


def main() -> None:
    """A line a network."""
    for board, design in [(each, design_on(each, made)) for each in BOARDS.values() for made in designs(each)]:
        print(f"{'on ' + board.name + ', ' + design.name:26}{'bytes':>9}{'blocks':>8}{'cycles':>9}", end="")
        print(f"{f'ms at {design.clock_mhz:g} MHz':>17}")
        for name, technique in NETWORKS:
            try:
                chosen = int8.source(name, technique, None)
                program = compile_network(chosen.make(chosen.data("")), design)
            except InputError as error:
                print(f"{name} {technique}: {error}")
                continue
            cycles, blocks = simulate(program).cycles, memory_brams(board, design, program.dram_bytes)
            print(f"{f'{name} {technique}':26}{program.dram_bytes:>9,}{blocks:>8}{cycles:>9,}", end="")
            print(f"{cycles / design.clock_mhz / 1000:>17.3f}")


if __name__ == "__main__":
    main()
