"""An IntegerNetwork in one .npz file: the arrays, and the rest as JSON under the key "network".

In the JSON a dataclass is {"type", "fields"}, a dictionary {"map"}, an array {"array": its key}, a tuple a
list; numbers and strings are themselves (Python prints floats so that they read back to the same bits).
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.models.errors import InputError
from accel.models.files import write_whole
from accel.models.integers.network import (
    HostLayer,
    IntegerNetwork,
    MatrixLayer,
    Requantise,
    Residual,
    Shared,
    TensorSpec,
    VectorLayer,
    Window,
)

__all__ = ["load", "save"]

FORMAT = 1
TYPES = {
    kind.__name__: kind
    for kind in (
        HostLayer,
        IntegerNetwork,
        MatrixLayer,
        Requantise,
        Residual,
        Shared,
        TensorSpec,
        VectorLayer,
        Window,
    )
}


def save(network: IntegerNetwork, path: str | Path) -> None:
    """Write `network` to `path`; an existing file is replaced only by a complete one.

    Raises InputError if the file cannot be written.
    """
    arrays: dict[str, NDArray[Any]] = {}
    text = json.dumps({"format": FORMAT, "network": _encode(network, "network", arrays)})
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, network=np.array(text), **arrays)
    write_whole(path, content.getvalue())


def load(path: str | Path) -> IntegerNetwork:
    """The network that `save` wrote to `path`. Raises InputError if the file is missing, damaged or another."""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
        document = json.loads(str(arrays["network"]))
        if document["format"] != FORMAT:
            raise InputError(f"must have format {FORMAT}, not {document['format']}")
        network = _decode(document["network"], arrays)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (ValueError, KeyError, TypeError, IndexError, EOFError, zipfile.BadZipFile):
        network = None
    if not isinstance(network, IntegerNetwork):
        raise InputError(f"{path} must be a saved integer network, and is damaged or something else")
    return network


def _encode(value: Any, key: str, arrays: dict[str, NDArray[Any]]) -> Any:
    """`value` as JSON; its arrays go to `arrays` under keys that start with `key`."""
    if isinstance(value, np.ndarray):
        arrays[key] = value
        return {"array": key}
    if is_dataclass(value):
        parts = {f.name: _encode(getattr(value, f.name), f"{key}.{f.name}", arrays) for f in fields(value)}
        return {"type": type(value).__name__, "fields": parts}
    if isinstance(value, dict):
        return {"map": {k: _encode(v, f"{key}.{k}", arrays) for k, v in value.items()}}
    if isinstance(value, tuple):
        return [_encode(v, f"{key}.{i}", arrays) for i, v in enumerate(value)]
    return value


def _decode(value: Any, arrays: dict[str, NDArray[Any]]) -> Any:
    """The inverse of `_encode`."""
    if isinstance(value, list):
        return tuple(_decode(v, arrays) for v in value)
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return arrays[value["array"]]
    if "map" in value:
        return {k: _decode(v, arrays) for k, v in value["map"].items()}
    return TYPES[value["type"]](**{k: _decode(v, arrays) for k, v in value["fields"].items()})
