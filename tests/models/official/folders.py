"""The recorded folders in official layouts: what is expected of them, and copies to be damaged."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from torch import Tensor

from sparsebench.models.errors import ModelError
from sparsebench.models.official import import_official

from ..oracles.oracle import FOLDER, Oracle

RECORDED = FOLDER / "official_layouts"
V1, V2, RESIDUAL, ATTENTION = "llama_moe_v1", "llama_moe_v2", "llama_moe_v2_residual", "llama_moe_v2_attention"
ONE_WORD, TWO_WORDS, CONDITIONED = "graphsgpt_1w", "graphsgpt_2w", "graphsgpt_1w_c"
NAMES = (V1, V2, RESIDUAL, ATTENTION, ONE_WORD, TWO_WORDS, CONDITIONED)


def copied(name: str, place: Path) -> Path:
    """A copy of a recorded folder."""
    return Path(shutil.copytree(RECORDED / name, place / name))


def configured(name: str, place: Path, **changes: Any) -> Path:
    """A copy whose configuration says something else."""
    folder = copied(name, place)
    say(folder, **changes)
    return folder


def say(folder: Path, **changes: Any) -> None:
    """Change the configuration of a folder."""
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | changes), encoding="utf-8")


def rewritten(name: str, place: Path, change: Callable[[dict[str, Tensor]], object]) -> Path:
    """A copy with other tensors, in one file."""
    folder = copied(name, place)
    tensors: dict[str, Tensor] = {}
    for file in folder.glob("model*.safetensors"):
        tensors |= load_file(file)
        file.unlink()
    (folder / "model.safetensors.index.json").unlink(missing_ok=True)
    change(tensors)
    save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, folder / "model.safetensors")
    return folder


def expected_of(name: str) -> Oracle:
    """What the official code computed."""
    return Oracle(f"official_layouts/{name}/expected.safetensors")


def check_refused(folder: Path, message: str) -> None:
    """In one line, and nothing is written."""
    out = folder.with_name(f"{folder.name}-ours")
    with pytest.raises(ModelError, match=message) as caught:
        import_official(folder, out)
    assert "\n" not in str(caught.value)
    assert not out.exists()
