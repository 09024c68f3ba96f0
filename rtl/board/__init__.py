"""What a board needs around the accelerator: a bridge from a serial port, memory, and the two joined."""
