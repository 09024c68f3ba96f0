"""Compression: functions from a Network to a smaller Network, and what the result's weights take when encoded."""
