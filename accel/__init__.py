"""The accelerator as a contract: Design, command set, compiler. What the user runs is in `accel.flow`."""

__all__ = ["__version__"]

__version__ = "0.1.0"
