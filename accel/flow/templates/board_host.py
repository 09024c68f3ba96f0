"""Loads the network into the board, sends inputs, and prints their classes and times.

    python host.py --port /dev/ttyUSB0              the inputs of inputs.npy, one after the other
    python host.py --port /dev/ttyUSB0 digit.npy    others, floats of (n, ...) or one input alone
    python host.py --simulation simulation/top      the same against the Verilog in Verilator

Needs numpy, and pyserial for a real port. What the inputs of inputs.npy give must be what board.json says, in output
bytes, cycles and, of the first, all performance counters. Exit status 0, or 1 if something differs, 2 if the board
does not answer as it should.
"""

from __future__ import annotations

import argparse
import binascii
import json
import os
import select
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from tensors import codes_at, codes_of, places

FOLDER = Path(__file__).resolve().parent
BOARD = json.loads((FOLDER / "board.json").read_text())
EXPECTED = json.loads((FOLDER.parent / "expected.json").read_text())
LINK, REGISTERS = BOARD["link"], EXPECTED["registers"]
CHUNK_WORDS = 2048
TRIES = 4
BUSY, DONE = 1, 2  # bits of STATUS
RUN_SECONDS = 60  # of a real board, for one input


class LinkError(Exception):
    """The board does not answer, or not as it should."""


class SerialPort:
    """A real port."""

    def __init__(self, name: str, baud: int, patience_seconds: float) -> None:
        import serial

        self.port = serial.Serial(name, baud, timeout=patience_seconds)

    def write(self, data: bytes) -> None:
        """Send."""
        self.port.write(data)

    def read(self, count: int) -> bytes:
        """So many bytes, or what came until nothing came for `patience_seconds`."""
        found = b""
        while len(found) < count and (more := self.port.read(count - len(found))):
            found += more
        return found

    def drain(self) -> None:
        """Forget what came."""
        self.port.reset_input_buffer()


class SimulatedPort:
    """The standard input and output of a program that simulates the board."""

    SILENCE_SECONDS = 120  # a simulated second is long

    def __init__(self, program: str) -> None:
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.sends, self.says = self.process.stdin.fileno(), self.process.stdout.fileno()

    def write(self, data: bytes) -> None:
        """Send."""
        while data:
            data = data[os.write(self.sends, data) :]

    def read(self, count: int, seconds: float = SILENCE_SECONDS) -> bytes:
        """So many bytes, or what came until nothing came for so long."""
        found = b""
        while len(found) < count and select.select([self.says], [], [], seconds)[0]:
            more = os.read(self.says, count - len(found))
            if not more:
                raise LinkError("the simulation ended")
            found += more
        return found

    def drain(self) -> None:
        """Forget what came."""
        self.read(1 << 20, 0.2)


class Link:
    """Words of registers and memory over a port (README.md has the protocol). What is damaged is sent again."""

    def __init__(self, port: Any, pause_seconds: float) -> None:
        self.port, self.pause_seconds = port, pause_seconds

    def _again(self, attempt: Any, what: str) -> Any:
        for _ in range(TRIES):
            found = attempt()
            if found is not None:
                return found
            time.sleep(self.pause_seconds)  # the board forgets what it has of a request
            self.port.drain()
        raise LinkError(f"{what}: the board does not answer as it should")

    def _header(self, operation: int, address: int, words: int) -> bytes:
        header = struct.pack("<BIH", operation, address, words)
        return header + check(header)

    def write(self, address: int, data: bytes) -> None:
        """Whole words from an address on."""
        for at in range(0, len(data), 4 * CHUNK_WORDS):
            part = data[at : at + 4 * CHUNK_WORDS]
            request = self._header(LINK["write"], address + at, len(part) // 4) + part + check(part)

            def attempt(request: bytes = request) -> bytes | None:
                self.port.write(request)
                return b"" if self.port.read(1) == bytes([LINK["accepted"]]) else None

            self._again(attempt, f"writing {len(part)} bytes at {address + at:#x}")

    def read(self, address: int, size: int) -> bytes:
        """`size` bytes, whole words."""
        found = b""
        while len(found) < size:
            at, words = address + len(found), min(CHUNK_WORDS, (size - len(found)) // 4)

            def attempt(at: int = at, words: int = words) -> bytes | None:
                self.port.write(self._header(LINK["read"], at, words))
                if self.port.read(1) != bytes([LINK["accepted"]]):
                    return None
                answer = self.port.read(4 * words + 2)
                data = answer[:-2]
                return data if len(answer) == 4 * words + 2 and check(data) == answer[-2:] else None

            found += self._again(attempt, f"reading {4 * words} bytes at {at:#x}")
        return found

    def register(self, name: str) -> int:
        """The value of a register."""
        return int.from_bytes(self.read(REGISTERS[name], 4), "little")

    def set(self, name: str, value: int) -> None:
        """Write a register."""
        self.write(REGISTERS[name], value.to_bytes(4, "little"))

    def write_memory(self, at: int, data: bytes) -> None:
        """Bytes from byte `at` on: what is in the words at both ends is kept."""
        before, behind = at % 4, -(at + len(data)) % 4
        if before:
            data = self.read_memory(at - before, 4)[:before] + data
        if behind:
            data += self.read_memory(at - before + len(data) + behind - 4, 4)[4 - behind :]
        self.write(LINK["memory"] + at - before, data)

    def read_memory(self, at: int, size: int) -> bytes:
        """Bytes from byte `at` on."""
        before = at % 4
        return self.read(LINK["memory"] + at - before, -(-(before + size) // 4) * 4)[before : before + size]


def check(data: bytes) -> bytes:
    """The CRC-16 of the protocol (XMODEM), highest byte first."""
    return binascii.crc_hqx(data, 0).to_bytes(2, "big")


def load(link: Link) -> None:
    """Check that the bitstream is this folder's, write program and weights, and say where they are."""
    for name, wanted in (("VERSION", EXPECTED["version"]), ("ARRAY", EXPECTED["array"])):
        if (found := link.register(name)) != wanted:
            raise LinkError(f"the board holds other hardware: {name} is {found:#x}, not {wanted:#x}")
    link.write_memory(0, (FOLDER.parent / "image.bin").read_bytes())
    for name, value in (
        ("DRAM_BASE", 0),
        ("DRAM_SIZE", EXPECTED["dram_bytes"]),
        ("PROGRAM_OFFSET", EXPECTED["program_offset"]),
        ("PROGRAM_COUNT", EXPECTED["program_count"]),
    ):
        link.set(name, value)


def run(link: Link, codes: np.ndarray) -> np.ndarray:
    """The output codes (channel, y, x) of one input's codes."""
    where, offset = BOARD["input"], BOARD["input"]["offset"]
    image = (FOLDER.parent / "image.bin").read_bytes()
    at = places(where)
    packed = bytearray(image[offset : offset + int(at.max()) + 1])  # with the padding that is around the codes
    np.frombuffer(packed, np.int8)[at] = codes
    link.write_memory(offset, bytes(packed))
    link.set("STATUS", DONE)
    link.set("CONTROL", 1)
    until = time.monotonic() + RUN_SECONDS
    while not link.register("STATUS") & DONE:
        if time.monotonic() > until:
            raise LinkError("the accelerator does not end")
    if error := link.register("ERROR"):
        raise LinkError(f"the run ended with error {error}")
    where = BOARD["output"]
    size = int(places(where).max()) + 1
    return codes_at(link.read_memory(where["offset"], size), where["offset"], where)


def differences(link: Link, number: int, output: np.ndarray, cycles: int) -> list[str]:
    """What is not as board.json says of an input of inputs.npy."""
    wanted, found = BOARD["expected"][number], []
    if output.ravel().tolist() != wanted["output_codes"]:
        found.append("output bytes differ")
    if cycles != wanted["cycles"]:
        found.append(f"{wanted['cycles']:,} cycles expected")
    if number == 0:
        for name, count in EXPECTED["events"].items():
            if (counted := link.register(f"COUNT_{name}")) != count:
                found.append(f"{name} is {counted:,}, not {count:,}")
    return found


def inputs_of(path: str | None) -> np.ndarray:
    """The floats of a file, (n, ...)."""
    values = np.load(path or FOLDER / "inputs.npy")
    shape = tuple(BOARD["input_tensor"]["shape"])
    return values.reshape(-1, *shape)


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--port", help="serial port of the board")
    where.add_argument("--simulation", metavar="PROGRAM", help="a program that simulates it")
    parser.add_argument("--patience", type=float, default=0.5, metavar="S", help="seconds to wait for an answer")
    parser.add_argument("--count", type=int, help="send so many inputs at most")
    parser.add_argument("inputs", nargs="?", help=".npy file with inputs")
    options = parser.parse_args()
    port = (
        SerialPort(options.port, BOARD["baud"], options.patience) if options.port else SimulatedPort(options.simulation)
    )
    link = Link(port, 2 * LINK["pause_bits"] / BOARD["baud"])
    wrong = 0
    try:
        load(link)
        print(f"{BOARD['network']} on {BOARD['design']} is loaded")
        for number, values in enumerate(inputs_of(options.inputs)[: options.count]):
            output = run(link, codes_of(values, BOARD["input_tensor"]))
            cycles = link.register("COUNT_CYCLES")
            found = [] if options.inputs else differences(link, number, output, cycles)
            wrong += bool(found)
            judged = "" if options.inputs else f": {'; '.join(found) or 'as expected'}"
            milliseconds = cycles / BOARD["clock_mhz"] / 1000
            print(f"input {number}: class {output.argmax()}, {milliseconds:.3f} ms ({cycles:,} cycles){judged}")
    except LinkError as error:
        print(f"host.py: {error}", file=sys.stderr)
        return 2
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
