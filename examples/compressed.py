"""What sharing weights does on two designs, in Python: bytes, cycles, energy, and what limits each layer."""

from accel.compile import compile_network
from accel.design import load
from accel.models import zoo
from accel.models.compress.share import share
from accel.models.quantisation.quantise import quantise
from accel.sim.cost import cost_of
from accel.sim.result import simulate

network = zoo.load("lenet-300-100")
calibration = zoo.preprocess(zoo.mnist_calibration()[:64])
versions = {"dense": quantise(network, calibration), "4 bits": share(network, calibration, bits=4)}
for name in ("nano", "edge"):
    design = load(name)
    for title, integers in versions.items():
        result = simulate(compile_network(integers, design))
        energy = cost_of(design, result).energy.total_pj.nominal / 1e6
        limits = {layer.info.name: layer.limited_by for layer in result.layers}
        print(f"{name}, {title}: {result.cycles:,} cycles, {energy:.1f} uJ, limited by {limits}")
