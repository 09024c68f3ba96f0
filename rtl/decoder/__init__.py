"""The decoder of coded LOADs, between loader and weight buffer: see "Coded weights" in docs/formats.md."""
