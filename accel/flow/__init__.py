"""What the user runs: compare, simulate, emit, train, and the command line."""
