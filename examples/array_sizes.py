"""Which array is large enough? Cycles of LeNet-5 on arrays of four sizes, with the Python functions.

`time_network` compiles and times a network exactly, and packs no weight: milliseconds for a design.
"""

from accel.compile import time_network
from accel.design import load
from accel.models import zoo

network = zoo.integer_network("lenet-5")
edge = load("edge")
print("array       cycles  times faster")
before = None
for size in (4, 8, 16, 32):
    array = edge.array.model_copy(update={"rows": size, "cols": size, "weight_rows": 1})
    design = edge.model_copy(update={"array": array})
    cycles = time_network(network, design).cycles
    print(f"{size:>2} x {size:<2} {cycles:>10,}  {'' if before is None else f'{before / cycles:.2f}'}".rstrip())
    before = cycles
