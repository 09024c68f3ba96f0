"""The state of a training that was cut short: weights, momentum and learning rate after some epochs, in a file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from accel.models.errors import InputError
from accel.models.files import write_whole
from accel.models.training.torch_module import torch


def save(path: Path, described: dict[str, Any], done: int, parts: dict[str, Any]) -> None:
    """Write the state after `done` epochs; a crash leaves the former state in place."""
    content = io.BytesIO()
    torch().save({"run": described, "done": done} | {k: v.state_dict() for k, v in parts.items()}, content)
    write_whole(path, content.getvalue())


def resume(path: Path, described: dict[str, Any], parts: dict[str, Any]) -> int:
    """Load the state into `parts` if there is one; the number of epochs that are done."""
    if not path.exists():
        return 0
    try:
        state = torch().load(path, weights_only=True)
        saved, done = state["run"], int(state["done"])
    except Exception:  # torch raises many kinds for a damaged file
        raise InputError(f"{path} must be a state of an earlier run, and is damaged: remove it") from None
    if saved != described:
        raise InputError(f"{path} belongs to another run ({saved}): remove it, or name another output")
    for key, part in parts.items():
        part.load_state_dict(state[key])
    return done
