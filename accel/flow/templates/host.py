"""The host's side of a network in several stretches, for one input: run it, and compare what each stretch must read.

    python host.py          needs numpy, and onnxruntime or onnx

Reads network.json, which lists the stages in order. A stretch is run by the accelerator: here its outputs are taken
from the expected memory of its folder, which `python run.py` in that folder compares with the Verilog. A step of the
host is run here. The codes that a stretch reads must be those that its image.bin holds: status 0 if all are, else 1.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from tensors import codes_at, codes_of, real_values

FOLDER = Path(__file__).parent


def run(name: str, inputs: list[np.ndarray], shapes: list[list[int]]) -> list[np.ndarray]:
    """The outputs of a model for one input of each, without the batch."""
    path = str(FOLDER / name)
    given = [np.broadcast_to(x.reshape(shape[1:]), shape) for x, shape in zip(inputs, shapes, strict=True)]
    try:
        import onnxruntime

        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        names = [x.name for x in session.get_inputs()]
        found = session.run(None, dict(zip(names, given, strict=True)))
    except ImportError:
        from onnx.reference import ReferenceEvaluator

        evaluator = ReferenceEvaluator(path)
        found = evaluator.run(None, dict(zip(evaluator.input_names, given, strict=True)))
    return [np.asarray(x)[0] for x in found]


def main() -> int:
    """All stages in turn."""
    network = json.loads((FOLDER / "network.json").read_text())
    tensors = network["tensors"]
    source = np.frombuffer((FOLDER / "input.bin").read_bytes(), np.int8)
    codes = {network["input"]: source.reshape(tensors[network["input"]]["codes"])}
    wrong = 0
    for stage in network["stages"]:
        if "model" in stage:
            given = [real_values(codes[name], tensors[name] | {"shape": shape[1:]})
                     for name, shape in zip(stage["inputs"], stage["shapes"], strict=True)]  # fmt: skip
            (made,) = run(stage["model"], given, stage["shapes"])
            codes[stage["output"]] = codes_of(made, tensors[stage["output"]])
            print(f"host: {', '.join(stage['nodes'])}")
            continue
        folder = FOLDER / stage["folder"]
        image, result = (folder / "image.bin").read_bytes(), (folder / "expected.bin").read_bytes()
        first = json.loads((folder / "expected.json").read_text())["output_offset"]
        differ = [p["tensor"] for p in stage["inputs"] if not np.array_equal(codes_at(image, 0, p), codes[p["tensor"]])]
        wrong += len(differ)
        print(f"{stage['folder']}: {'inputs differ: ' + ', '.join(differ) if differ else 'inputs are as in image.bin'}")
        for place in stage["outputs"]:
            codes[place["tensor"]] = codes_at(result, first, place)
    for name in network["outputs"]:
        print(f"output {name}: codes of shape {codes[name].shape}, the largest {codes[name].max()}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
