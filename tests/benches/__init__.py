"""What tests share."""

BUILDS = "ACCEL_TEST_BUILDS"
"""The environment variable with the folder in which the processes of a session share the Verilog that they build."""
