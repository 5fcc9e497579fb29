"""From a checkpoint of a paper to a model of ours, and to a folder of ours."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from ..errors import ModelError
from ..hub.foreign_configs import refuse_foreign
from ..hub.saving import save
from .checkpoint import INDICES, WHOLE, Checkpoint
from .layouts import build_of
from .recognition import LAYOUTS, recognise

TOKENIZER = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "vocab.json")
"""Files that go along as they are, where they are there."""
WANTED = ("*.json", "*.safetensors", "*.pkl", "tokenizer.model")
"""What is downloaded of a checkpoint on the hub; `*.bin` too where it has no safetensors."""


class Imported(NamedTuple):
    """What an import made.

    Attributes:
        layout: its name.
        title: the model and who published it.
        tensors: how many the checkpoint holds; all were read.
        parameters: of the model.
        unknown: what the checkpoint cannot tell, and what was taken to be so.
    """

    layout: str
    title: str
    tensors: int
    parameters: int
    unknown: tuple[str, ...]


def from_official(source: str | Path, *, layout: str | None = None) -> nn.Module:
    """The model of a checkpoint in the layout of a paper's own code, made of the modules of this package.

    Args:
        source: a folder or a file, or the name of a model on the hub.
        layout: its name (`LAYOUTS`); by default it is recognised.

    Returns:
        The model, on the CPU, in the dtype of the file and in eval mode.

    Raises:
        ModelError: the checkpoint is of no known layout, damaged or not whole, holds tensors that have no place in the
            model, or is a pickle of more than tensors.

    Example::

        model = from_official("llama-moe/LLaMA-MoE-v1-3_5B-2_8")
        save(model, "ours")
    """
    return _read(local(source), layout)[0]


def import_official(source: str | Path, out: str | Path, *, layout: str | None = None) -> Imported:
    """Read a checkpoint in an official layout and write it to a folder of ours, with its tokenizer.

    Args:
        source: as for `from_official`.
        out: a new folder; it appears whole or not at all.
        layout: as for `from_official`.

    Returns:
        What was read.

    Raises:
        ModelError: as for `from_official`; the folder is not empty.
    """
    place = local(source)
    model, found = _read(place, layout)
    save(model, out, tokenizer=_TokenizerFiles(place))
    return found


def local(source: str | Path) -> Path:
    """A path of this machine: the source itself, or where a model of the hub was downloaded to.

    Raises `ModelError` where it is neither.
    """
    place = Path(source)
    if place.exists():
        return place
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return _download(str(source))
    except HFValidationError as error:
        raise ModelError(f"{source} is no folder or file, and no name of a model on the hub") from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        line = str(error).strip().partition("\n")[0]
        raise ModelError(f"{source} is not here and could not be downloaded: {line}") from error


def _download(name: str) -> Path:
    from huggingface_hub import snapshot_download

    place = Path(snapshot_download(name, allow_patterns=list(WANTED)))
    if (place / INDICES[0]).is_file() or (place / WHOLE[0]).is_file():
        return place
    return Path(snapshot_download(name, allow_patterns=[*WANTED, "*.bin"]))


class _TokenizerFiles:
    """The tokenizer of a checkpoint, which is saved as it is."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def save_pretrained(self, folder: Path) -> None:
        for name in TOKENIZER:
            if (self.place / name).is_file():
                shutil.copyfile(self.place / name, folder / name)


def _read(place: Path, name: str | None) -> tuple[nn.Module, Imported]:
    checkpoint = Checkpoint(place)
    name = name or _layout_of(checkpoint)
    built = build_of(name)(checkpoint)
    checkpoint.finish()
    model = built.model.eval()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return model, Imported(name, LAYOUTS[name].title, len(checkpoint.names()), parameters, built.unknown)


def _layout_of(checkpoint: Checkpoint) -> str:
    found = recognise(checkpoint.config, checkpoint.names())
    if found is not None:
        return found
    said = checkpoint.config.get("model_type", "no model_type")
    known = "; ".join(f"{name} ({layout.title})" for name, layout in LAYOUTS.items())
    try:
        refuse_foreign(checkpoint.config, str(checkpoint.place))
    except ModelError as error:
        message = f"{checkpoint.place} ({said}) has no layout that is known here: {known}"
        raise ModelError(message) from error
    raise ModelError(
        f"{checkpoint.place} is a {said!r} that transformers knows (after Block Drop, too): it needs no import, "
        "sparsebench.models.load and the Auto classes open it"
    )


def how_to_open(place: str | Path, config: Mapping[str, Any] | None = None) -> str | None:
    """What to do with a checkpoint that is in an official layout, for those who tried to open it as another.

    Args:
        place: the folder, the file, or the name of a model on the hub.
        config: what its `config.json` says; without, the place is looked at.

    Returns:
        A sentence; None where it is in no layout that is known here, or cannot be read.
    """
    names: list[str] = []
    if config is None:
        try:
            checkpoint = Checkpoint(place)
        except ModelError:
            return None
        config, names = checkpoint.config, checkpoint.names()
    found = recognise(config, names)
    if found is None:
        return None
    return (
        f"{place} is an official checkpoint, {LAYOUTS[found].title}: `sparsebench import {place} OUT` reads it, or "
        "says why it cannot be read"
    )
