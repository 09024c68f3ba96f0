"""The compiler's parts; `accel.compile.compile_network` is the way in."""
