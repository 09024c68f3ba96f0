"""The memory that holds program, weights and what crosses: DRAM behind AXI4, or block RAM inside the core.

Loader and storer, and their timing, ask both kinds the same: bits of a beat, latency, beats of a burst.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from accel.latency import ON_CHIP_CYCLES
from accel.sections import Section


class Memory(Section):
    """The AXI4 master port and the DRAM behind it, as the simulator and the test benches model it.

    A read burst's first beat is valid `latency_cycles` after its address is accepted, later beats follow every
    `beat_interval_cycles`; a write burst's response comes `latency_cycles` after its last beat.

    AXI4 reserves the codes of AxCACHE that `axi_read_cache` and `axi_write_cache` do not allow.
    """

    kind: Literal["axi"] = Field(default="axi", description="where program, weights and tensors lie: DRAM (axi)")
    axi_bits: Literal[32, 64, 128, 256, 512] = Field(description="bits of an AXI beat, read and written")
    axi_address_bits: Literal[32, 64] = Field(default=32, description="bits of an AXI address")
    axi_prot: int = Field(default=0, ge=0, le=7, description="AxPROT of every burst: 0 unprivileged, secure, data")
    axi_read_cache: Literal[0, 1, 2, 3, 6, 7, 10, 11, 14, 15] = Field(
        default=3, description="ARCACHE of every burst: 3 bufferable, not cached"
    )
    axi_write_cache: Literal[0, 1, 2, 3, 6, 7, 10, 11, 14, 15] = Field(
        default=3, description="AWCACHE of every burst: 3 bufferable, not cached"
    )
    latency_cycles: int = Field(
        ge=1, le=1000, description="from an address to its first beat read, from the last beat written to its response"
    )
    beat_interval_cycles: int = Field(default=1, ge=1, le=16, description="from one beat to the next: the bandwidth")
    burst_beats: Literal[1, 2, 4, 8, 16, 32, 64] = Field(default=64, description="beats of the longest burst")
    outstanding_bursts: int = Field(default=8, ge=1, le=64, description="read bursts under way at most")


class OnChip(Section):
    """The memory of `kind` on-chip: a core without DRAM and without an AXI master.

    Program, weights and records are initial values of block RAM in the Verilog; images come and results leave by
    AXI-Stream, with two places each, so that the next image comes in while one is worked on. What must be spilled
    between layers lies there too. Loader and storer see a memory that answers a burst as fast as it can.
    """

    kind: Literal["on-chip"] = Field(
        default="on-chip", description="where program, weights and tensors lie: in block RAM of the core"
    )
    bits: Literal[32, 64, 128, 256, 512] = Field(description="bits of a word of this memory, and of both streams")
    bytes: int = Field(
        ge=64, le=1 << 26, description="what the memory holds: program, weights, records, two images, two results"
    )

    # What loader, storer and their timing ask of a memory.

    @property
    def axi_bits(self) -> int:
        """Bits of a beat."""
        return self.bits

    @property
    def axi_address_bits(self) -> int:
        """Bits of an address inside the core."""
        return 32

    @property
    def axi_prot(self) -> int:
        """Nobody looks at it."""
        return 0

    axi_read_cache = axi_write_cache = axi_prot

    @property
    def latency_cycles(self) -> int:
        """From an address to its first beat, and from the last beat written to its response."""
        return ON_CHIP_CYCLES

    @property
    def beat_interval_cycles(self) -> int:
        """A beat a cycle each way."""
        return 1

    @property
    def burst_beats(self) -> int:
        """Beats of the longest burst."""
        return 64

    @property
    def outstanding_bursts(self) -> int:
        """One that is answered and one that waits: enough for a beat a cycle in bursts of three beats or more."""
        return 2
