"""Folders of checkpoints with something changed, and what was recorded of the official code."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from torch import Tensor

from sparsebench.models.errors import ModelError
from sparsebench.models.official import import_official

from ..oracles.oracle import FOLDER, Oracle

PLACE = FOLDER / "official_layouts"


def recorded(name: str) -> Oracle:
    """What the official code computed."""
    return Oracle(f"official_layouts/{name}/expected.safetensors")


def changed(
    name: str,
    out: Path,
    *,
    config: Mapping[str, Any] | None = None,
    change: Callable[[dict[str, Tensor]], object] | None = None,
) -> Path:
    """A copy of a folder.

    Args:
        name: of the folder.
        out: where to; made anew.
        config: values of the configuration to set.
        change: is called with the tensors by name, to change them in place.
    """
    out.mkdir()
    fields = json.loads((PLACE / name / "config.json").read_text(encoding="utf-8")) | dict(config or {})
    (out / "config.json").write_text(json.dumps(fields), encoding="utf-8")
    tensors = load_file(PLACE / name / "model.safetensors")
    if change is not None:
        change(tensors)
    save_file({key: value.contiguous() for key, value in tensors.items()}, out / "model.safetensors")
    return out


def check_refused(folder: Path, message: str) -> None:
    """That a folder is not imported, with one line that says so, and that nothing is written."""
    out = folder.with_name(f"{folder.name}-ours")
    with pytest.raises(ModelError, match=message) as caught:
        import_official(folder, out)
    assert "\n" not in str(caught.value)
    assert not out.exists()
