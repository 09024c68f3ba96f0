"""Compression chosen for a design: which recipe costs it least at an accuracy.

`knobs`: what can be turned, and the recipe that a setting of all knobs is. `price`: cycles, bytes and energy of what
the recipe leaves, from the exact simulator and the encoder. `formats`: how the hardware reads each layer's weights,
which costs no accuracy. `walk`: one notch after the other, whichever costs least accuracy for what it saves. `train`:
the recipe trained, as far along the walk as the accuracy allows. `layers`: what became of each layer.
"""
