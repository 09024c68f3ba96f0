"""From a float network to an integer one: which layers fuse, scales and codes of weights, ranges of activations."""
