"""What a design takes of an FPGA, predicted from the Design alone, and whether it fits one."""

from accel.resources.parts import PARTS, Part, part, shortfalls
from accel.resources.predict import Resources, predict

__all__ = ["PARTS", "Part", "Resources", "part", "predict", "shortfalls"]
