"""When every command starts and ends: the timing contract as a recurrence."""
