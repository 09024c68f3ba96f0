"""AXI4 master and AXI4-Lite slave ports (no identifiers: one transaction stream each way, answered in order)."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Value
from amaranth.lib.wiring import In, Out, Signature

from accel.memory_kinds import Memory, OnChip
from accel.registers import PAGE_BITS

INCREMENTING = 1  # of AxBURST
MOVE_BITS = 32 - PAGE_BITS


def read_master(memory: Memory | OnChip) -> Signature:
    """Read channels of an AXI4 master."""
    bits = memory.axi_bits
    return Signature(
        {
            "araddr": Out(memory.axi_address_bits), "arlen": Out(8), "arsize": Out(3), "arburst": Out(2),
            "arprot": Out(3), "arcache": Out(4), "arvalid": Out(1), "arready": In(1),
            "rdata": In(bits), "rresp": In(2), "rlast": In(1), "rvalid": In(1), "rready": Out(1),
        }
    )  # fmt: skip


def write_master(memory: Memory | OnChip) -> Signature:
    """Write channels of an AXI4 master."""
    bits = memory.axi_bits
    return Signature(
        {
            "awaddr": Out(memory.axi_address_bits), "awlen": Out(8), "awsize": Out(3), "awburst": Out(2),
            "awprot": Out(3), "awcache": Out(4), "awvalid": Out(1), "awready": In(1),
            "wdata": Out(bits), "wstrb": Out(bits // 8), "wlast": Out(1), "wvalid": Out(1), "wready": In(1),
            "bresp": In(2), "bvalid": In(1), "bready": Out(1),
        }
    )  # fmt: skip


LITE_SLAVE = Signature(
    {
        "awaddr": In(12), "awvalid": In(1), "awready": Out(1),
        "wdata": In(32), "wstrb": In(4), "wvalid": In(1), "wready": Out(1),
        "bresp": Out(2), "bvalid": Out(1), "bready": In(1),
        "araddr": In(12), "arvalid": In(1), "arready": Out(1),
        "rdata": Out(32), "rresp": Out(2), "rvalid": Out(1), "rready": In(1),
    }
)  # fmt: skip
"""AXI4-Lite slave, 4 KiB of 32-bit registers."""


def first_beat(address: Value, beat_bytes: int, moves: Value | None = None) -> Value:
    """The beat of a command's DRAM address, moved by so many pages if anything moves it; as wide as the sum."""
    beat = address[(beat_bytes - 1).bit_length() :]
    if moves is None:
        return beat
    within = PAGE_BITS - (beat_bytes - 1).bit_length()  # bits of a beat's place in its page: no carry comes from them
    return Cat(beat[:within], beat[within:] + moves)


def byte_address(base: Value, beat: Value, beat_bytes: int) -> tuple[Value, Value]:
    """Byte address of a beat counted from `base`, and whether that has more bits than `base`.

    A burst does not cross 4 KiB, so if its first beat has an address, the others have one.
    """
    shift = (beat_bytes - 1).bit_length()
    address = base + Cat(Const(0, shift), beat)
    return address[: len(base)], address[len(base) :].any()
