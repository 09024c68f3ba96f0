"""The systolic engine whose outputs stay in the array (`dataflow` os)."""
