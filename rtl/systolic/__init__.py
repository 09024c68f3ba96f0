"""The weight-stationary systolic engine."""
