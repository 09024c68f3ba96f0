"""SCALE-Sim's files and conventions (scalesim 3.0.0): topologies, configurations, cycles."""
