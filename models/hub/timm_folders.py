"""Folders that timm's own savers write of changed networks: what opens them, and their model card."""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ModelError, optional
from .declaration import declare
from .folder_card import OPENED
from .own_folders import read_tensors
from .parts import finish_parts, in_order, in_words, part_of
from .timm_models import FIELD, ChangedTimm, described

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""Names that timm gives to files of weights, in the order in which it looks for them."""


def timm_card(model: nn.Module) -> dict[str, Any]:
    """The model card of a changed network of timm, for timm's `push_to_hf_hub`, which writes one.

    Args:
        model: the network.

    Returns:
        What its `model_card` takes: what the network is and how to open it.

    Raises:
        ModelError: the network is none of timm that was changed here, or files of timm cannot say what it is.

    Example: `timm.models.push_to_hf_hub(model, "me/net", model_card=timm_card(model))`.
    """
    if not isinstance(model, ChangedTimm):
        raise ModelError(f"this {type(model).__name__} is no network of timm, by its name, that was changed here")
    said = described(model)
    if "refused" in said:
        raise ModelError(f"timm's files cannot say what this {type(model).__name__} is: {said['refused']}")
    return {
        "description": f"A {said['class']} of timm with {in_words(said['parts'])}.",
        "library_name": "sparsebench",
        "tags": ["sparsebench", "timm"],
        "usage": f"`pip install sparsebench`; timm by itself refuses it.\n\n```python\n{OPENED}\n```",
    }


def is_timm_folder(fields: dict[str, Any]) -> bool:
    """Whether a `config.json` is that of a changed network, written by timm.

    Args:
        fields: what it says.
    """
    return FIELD in (fields.get("pretrained_cfg") or {})


def load_timm_folder(folder: Path, fields: dict[str, Any]) -> nn.Module:
    """The network in a folder that timm wrote, in eval mode.

    Args:
        folder: its path.
        fields: what its `config.json` says.

    Raises:
        ModelError: it is not whole, damaged, of a network that timm's files cannot say, or timm has none of its name.
    """
    with optional():
        import timm

    said = fields["pretrained_cfg"][FIELD]
    if "refused" in said:
        raise ModelError(f"{folder} does not say all of the network: it was saved with {said['refused']}")
    arguments = {"num_classes": fields["num_classes"]} | fields.get("model_args", {})
    try:
        model = timm.create_model(said["class"], **arguments)
    except (RuntimeError, TypeError) as error:
        raise ModelError(f"the installed timm does not make the {said['class']} of {folder}: {error}") from error
    for name, description in in_order(said["parts"]):
        part_of(name).build(model, description)
        declare(model, name)
    try:
        model.load_state_dict(_state(folder))
    except RuntimeError as error:
        raise ModelError(f"{folder} does not fit its configuration: {' '.join(str(error).split())}") from error
    finish_parts(model, said["parts"])
    return model.eval()


def _state(folder: Path) -> dict[str, Tensor]:
    files = [folder / name for name in WEIGHTS if (folder / name).is_file()]
    if not files:
        raise ModelError(f"{folder} has no {' or '.join(WEIGHTS)}: it is not whole")
    if files[0].suffix == ".safetensors":
        return read_tensors(files[0])
    try:
        return torch.load(files[0], map_location="cpu", weights_only=True)
    except (RuntimeError, OSError, EOFError, ValueError, UnpicklingError) as error:
        raise ModelError(f"{files[0]} is damaged or cut short, or no file of tensors: copy it again") from error
