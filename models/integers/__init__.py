"""The network that the accelerator runs: its layers, its arithmetic, what must hold of it."""
