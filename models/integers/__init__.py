"""From a float network to integers: fusing, quantising, and the network that the accelerator runs."""
