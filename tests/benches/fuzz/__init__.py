"""Mutated inputs of every kind, in processes with bounds on memory and time: see `tests/test_fuzz.py`."""
