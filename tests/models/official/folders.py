"""Copies of the recorded folders in official layouts, to be damaged."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

RECORDED = Path(__file__).parents[1] / "oracles" / "official_layouts"
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
    save_file(tensors, folder / "model.safetensors")
    return folder
