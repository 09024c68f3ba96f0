"""Whether a design's clock is one that its target reaches."""

from __future__ import annotations

from accel.design import Design, names
from accel.resources.fmax import fmax_mhz, slowest
from accel.resources.parts import PARTS
from accel.resources.predict import FAMILY

ASIC = "asic"  # a target whose clock nothing is predicted of


def clock_notes(design: Design, source: str = "") -> tuple[str, ...]:
    """A warning if `clock_mhz` is more than the design's target is predicted to reach, else nothing.

    `source`: what `accel synth` is given to measure it, where the design's name is none that it knows.
    Only for parts that the predictor knows: times of an ASIC, and of other FPGAs, are taken as they are given.
    """
    target = design.technology.target
    if target == ASIC or PARTS[target].family != FAMILY:
        return ()
    reached = fmax_mhz(design)
    if design.clock_mhz <= reached:
        return ()
    return (
        f"warning: {design.name} says {design.clock_mhz:g} MHz, and {target} is predicted to reach {reached:.0f}: "
        f"times here are {design.clock_mhz / reached:.1f} times too short (limited by: "
        f"{slowest(design)}; measured by: accel synth {source or _source(design)})",
    )


def _source(design: Design) -> str:
    """What `accel synth` takes for a design: its name if it is one that ships, else the file that it came from."""
    return design.name if design.name in names() else f"with {design.name}'s file"
