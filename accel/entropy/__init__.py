"""Weights as coded streams: code tables, the encoder, and the decoder that the hardware is compared with."""
