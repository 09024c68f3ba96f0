"""What the host runs between stretches, as torch computes it: gradients pass, and its constants are not trained.

ONNX's definition of each operator, on as many inputs at a time as the host's part takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import onnx
from onnx import helper, numpy_helper

from accel.models.errors import InputError
from accel.models.exchange.onnx_load import STANDARD_DOMAINS, opset
from accel.models.host import HostStep

Operator = Callable[..., Any]  # of the attributes and the inputs, None where one is left out, to the output or outputs


def module_of(torch: Any, step: HostStep, network: str) -> Callable[[Sequence[Any]], Any]:
    """A function from the step's inputs, (n, ...) each, to its output: torch tensors.

    `network` names it in errors. Raises InputError for operators that have no form here, all of them at once.
    """
    model = onnx.load_from_string(step.run.model)
    known = operators(torch, opset(model, network))
    strange = [
        name
        for name, node in zip(step.nodes, model.graph.node, strict=True)
        if node.domain not in STANDARD_DOMAINS or node.op_type not in known
    ]
    if strange:
        raise InputError(
            f"{network}: training must not pass the host's {', '.join(strange)}, and does (it passes "
            f"{', '.join(sorted(known))})"
        )
    given = [x.name for x in model.graph.input]
    (output,) = (x.name for x in model.graph.output)
    constants = {x.name: torch.from_numpy(numpy_helper.to_array(x).copy()) for x in model.graph.initializer}
    attributes = [
        {"num_outputs": len(node.output)} | {a.name: helper.get_attribute_value(a) for a in node.attribute}
        for node in model.graph.node
    ]
    shapes, batch = step.run.shapes, step.run.shapes[0][0]

    def once(inputs: Sequence[Any]) -> Any:
        tensors = {**constants, **dict(zip(given, inputs, strict=True))}
        for node, its in zip(model.graph.node, attributes, strict=True):
            made = known[node.op_type](its, *(tensors[x] if x else None for x in node.input))
            tensors |= zip(node.output, made if isinstance(made, (tuple, list)) else (made,), strict=False)
        return tensors[output]

    def run(inputs: Sequence[Any]) -> Any:
        count = len(inputs[0])
        if short := -count % batch:
            inputs = [torch.cat([x, x[-1:].expand(short, *x.shape[1:])]) for x in inputs]
        parts = [
            once([x[first : first + batch].reshape(shape) for x, shape in zip(inputs, shapes, strict=True)])
            for first in range(0, len(inputs[0]), batch)
        ]
        return torch.cat([x.reshape(batch, *step.shape) for x in parts])[:count]

    return run


def operators(torch: Any, version: int) -> Mapping[str, Operator]:
    """The operators of ONNX's operator set `version` that have a form here, by name."""
    functional = torch.nn.functional

    def pairs(function: Operator) -> Operator:
        return lambda a, *x: x[0] if len(x) == 1 else function(x[0], pairs(function)(a, *x[1:]))

    def axes_of(a: Mapping[str, Any], x: Any, axes: Any) -> tuple[int, ...]:
        found = axes.tolist() if axes is not None else a.get("axes", range(x.dim()))
        return tuple(k % x.dim() for k in found)

    def reduced(function: Operator) -> Operator:
        def reduce(a: Mapping[str, Any], x: Any, axes: Any = None) -> Any:
            return function(x, axes_of(a, x, axes), bool(a.get("keepdims", 1)))

        return reduce

    def soft(function: Operator) -> Operator:
        def normalise(a: Mapping[str, Any], x: Any) -> Any:
            if version >= 13:
                return function(x, a.get("axis", -1))
            return function(x.flatten(a.get("axis", 1) % x.dim()), -1).reshape(x.shape)

        return normalise

    def lrn(a: Mapping[str, Any], x: Any) -> Any:
        size = a["size"]
        squares = functional.pad(x * x, [0, 0] * (x.dim() - 2) + [(size - 1) // 2, size // 2])
        total = sum(squares[:, k : k + x.shape[1]] for k in range(size))
        return x / (a.get("bias", 1.0) + a.get("alpha", 1e-4) / size * total) ** a.get("beta", 0.75)

    def reshape(a: Mapping[str, Any], x: Any, shape: Any) -> Any:
        sizes = shape.tolist()
        return x.reshape(sizes if a.get("allowzero") else [n or x.shape[k] for k, n in enumerate(sizes)])

    def unsqueeze(a: Mapping[str, Any], x: Any, axes: Any = None) -> Any:
        found = axes.tolist() if axes is not None else a["axes"]
        for axis in sorted(k % (x.dim() + len(found)) for k in found):
            x = x.unsqueeze(axis)
        return x

    def sliced(a: Mapping[str, Any], x: Any, *given: Any) -> Any:
        of_attributes = (a.get("starts"), a.get("ends"), a.get("axes"))
        lists = [y if y is None else y.tolist() for y in given] or of_attributes
        starts, ends, axes, steps = (*lists, None, None)[:4]
        for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
            axis, step = axes[number] if axes else number, steps[number] if steps else 1
            chosen = range(x.shape[axis])[start:end:step]
            x = x.index_select(axis, torch.tensor(list(chosen), dtype=torch.int64))
        return x

    def split(a: Mapping[str, Any], x: Any, sizes: Any = None) -> Any:
        found = sizes.tolist() if sizes is not None else a.get("split")
        axis = a.get("axis", 0)
        return x.split(found, axis) if found else x.chunk(a["num_outputs"], axis)

    def depth_to_space(a: Mapping[str, Any], x: Any) -> Any:
        (n, c, h, w), b = x.shape, a["blocksize"]
        if a.get("mode", b"DCR") == b"DCR":
            y = x.reshape(n, b, b, c // b**2, h, w).permute(0, 3, 4, 1, 5, 2)
        else:
            y = x.reshape(n, c // b**2, b, b, h, w).permute(0, 1, 4, 2, 5, 3)
        return y.reshape(n, c // b**2, h * b, w * b)

    def space_to_depth(a: Mapping[str, Any], x: Any) -> Any:
        (n, c, h, w), b = x.shape, a["blocksize"]
        return x.reshape(n, c, h // b, b, w // b, b).permute(0, 3, 5, 1, 2, 4).reshape(n, c * b * b, h // b, w // b)

    def gemm(a: Mapping[str, Any], x: Any, y: Any, z: Any = None) -> Any:
        product = (x.T if a.get("transA") else x) @ (y.T if a.get("transB") else y) * a.get("alpha", 1.0)
        return product if z is None else product + a.get("beta", 1.0) * z

    def layer_norm(a: Mapping[str, Any], x: Any, scale: Any, bias: Any = None) -> Any:
        axis = a.get("axis", -1) % x.dim()
        normal = functional.layer_norm(x, x.shape[axis:], eps=a.get("epsilon", 1e-5)) * scale
        return normal if bias is None else normal + bias

    def instance_norm(a: Mapping[str, Any], x: Any, scale: Any, bias: Any) -> Any:
        return functional.instance_norm(x, weight=scale, bias=bias, eps=a.get("epsilon", 1e-5))

    def clip(a: Mapping[str, Any], x: Any, low: Any = None, high: Any = None) -> Any:
        return x.clamp(a.get("min", low), a.get("max", high))

    def gather(a: Mapping[str, Any], x: Any, at: Any) -> Any:
        axis = a.get("axis", 0) % x.dim()
        chosen = x.index_select(axis, at.flatten().long() % x.shape[axis])
        return chosen.reshape(*x.shape[:axis], *at.shape, *x.shape[axis + 1 :])

    def constant(a: Mapping[str, Any]) -> Any:
        (value,) = (x for name, x in a.items() if name != "num_outputs")
        return (
            torch.from_numpy(numpy_helper.to_array(value).copy()) if hasattr(value, "raw_data") else torch.tensor(value)
        )

    def flatten(a: Mapping[str, Any], x: Any) -> Any:
        axis = a.get("axis", 1) % (x.dim() + 1)
        return x.reshape(x.shape[:axis].numel(), -1)

    def plain(name: str) -> Operator:
        function = getattr(torch, name)
        return lambda a, x: function(x)

    each = ("neg", "abs", "exp", "log", "sqrt", "tanh", "sigmoid", "erf", "relu", "reciprocal", "sin", "cos")
    return {
        **{name.capitalize(): plain(name) for name in each},
        **{name: pairs(torch.add) for name in ("Add", "Sum")},
        "Sub": lambda a, x, y: x - y,
        "Mul": lambda a, x, y: x * y,
        "Div": lambda a, x, y: x / y if x.is_floating_point() else torch.div(x, y, rounding_mode="trunc"),
        "Pow": lambda a, x, y: x**y,
        "Max": pairs(torch.maximum),
        "Min": pairs(torch.minimum),
        "Where": lambda a, x, y, z: torch.where(x, y, z),
        "MatMul": lambda a, x, y: x @ y,
        "Gemm": gemm,
        "Softmax": soft(torch.softmax),
        "LogSoftmax": soft(torch.log_softmax),
        "Softplus": lambda a, x: functional.softplus(x),
        "LRN": lrn,
        "LayerNormalization": layer_norm,
        "InstanceNormalization": instance_norm,
        "ReduceMean": reduced(torch.mean),
        "ReduceSum": reduced(torch.sum),
        "ReduceMax": reduced(torch.amax),
        "ReduceMin": reduced(torch.amin),
        "ReduceL2": reduced(lambda x, axes, keep: torch.linalg.vector_norm(x, dim=axes, keepdim=keep)),
        "GlobalAveragePool": lambda a, x: x.mean(tuple(range(2, x.dim())), keepdim=True),
        "Clip": clip,
        "Transpose": lambda a, x: x.permute(a.get("perm", list(range(x.dim()))[::-1])),
        "Reshape": reshape,
        "Flatten": flatten,
        "Squeeze": lambda a, x, axes=None: x.squeeze(axes_of(a, x, axes)),
        "Unsqueeze": unsqueeze,
        "Concat": lambda a, *x: torch.cat(x, a["axis"]),
        "Slice": sliced,
        "Split": split,
        "Gather": gather,
        "Expand": lambda a, x, shape: x.expand(torch.broadcast_shapes(x.shape, tuple(shape.tolist()))),
        "DepthToSpace": depth_to_space,
        "SpaceToDepth": space_to_depth,
        "Identity": lambda a, x: x,
        "Dropout": lambda a, x, *_: x,
        "Cast": lambda a, x: x.to(getattr(torch, str(helper.tensor_dtype_to_np_dtype(a["to"])))),
        "Shape": lambda a, x: torch.tensor(list(x.shape)[a.get("start") : a.get("end")]),
        "Constant": constant,
    }
