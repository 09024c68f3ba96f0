"""`accel explore`: the best designs, techniques and formats for a network, out of a space of them."""
