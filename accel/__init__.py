"""The accelerator as a contract: Design, command set, compiler. What the user runs is in `accel.flow`."""
