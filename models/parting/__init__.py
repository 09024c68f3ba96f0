"""Networks with parts that the accelerator does not run: what goes where, and how the rest runs on the host."""
