"""What a Program costs: cycle-accurate timing, bit-exact execution, events, energy."""
