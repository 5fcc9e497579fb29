"""A language model and its tokenizer, from a folder or the hub, or a reason in one line."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sparsebench.data import hub
from sparsebench.data.errors import DataError, near_path, reason_of
from sparsebench.models import compression, load, moe  # noqa: F401 - a folder may hold models of ours
from sparsebench.models.errors import ModelError
from sparsebench.models.hub.derived_classes import source_of
from sparsebench.models.hub.own_folders import is_own_folder
from sparsebench.models.official.checkpoint import INDICES, WHOLE, read_index

from ..llm.backbones import hf

WEIGHTS = ("*.safetensors",)
PICKLED = ("*.bin", "*.pt", "*.pth")
"""How weights end that only a pickle's reader opens, which may run what is in them."""
TOKENIZERS = ("tokenizer*", "vocab*", "*.model", "*.tiktoken", "tekken.json")
"""Files of which a folder with a tokenizer has one at least."""
CAUSAL = ("ForCausalLM", "LMHeadModel")
"""How transformers ends the names of classes that write text from left to right."""


@dataclass
class Opened:
    """A model in eval mode, its tokenizer, and the folder of its files."""

    model: Any
    tokenizer: Any
    folder: Path


def open_model(name: str | Path) -> Opened:
    """The causal language model of a folder, or of a name on the hub, `owner/name[@revision]`; on the CPU.

    Args:
        name: the folder or name.

    Returns:
        Model, tokenizer and folder; packed weights stay packed.

    Raises:
        ModelError: there is no such model, it writes no text from left to right, or has no tokenizer, or its files
            are damaged.
    """
    from transformers.utils import logging

    logging.disable_progress_bar()
    name = str(name)
    folder = Path(name).expanduser()
    if not folder.is_dir():
        folder = _from_hub(name)
    _check_causal(folder)
    if is_own_folder(folder):
        model: Any = load(folder)
        return Opened(model, _tokenizer(folder), folder)
    _check_format(folder)
    try:
        found = hf.load(torch.Generator(), str(folder))
    except ValueError as error:
        raise ModelError(str(error)) from error
    return Opened(found.model, _tokenizer(folder), folder)


def check_vocabulary(ids: Iterable[int], model: Any) -> None:
    """Text that a model has the embeddings of.

    Args:
        ids: its tokens.
        model: a causal language model.

    Raises:
        ModelError: a token is beyond the last row.
    """
    rows = len(model.get_input_embeddings().weight)
    most = max(ids, default=0)
    if most >= rows:
        raise ModelError(
            f"the tokenizer makes token {most} of the text, and the model has embeddings of {rows} tokens: take the "
            "tokenizer that belongs to it, or save the model after model.resize_token_embeddings(len(tokenizer))"
        )


def size_on_disk(folder: Path) -> int:
    """Bytes of the files of weights that transformers opens of a folder; of others, such as a second copy of the
    weights under `consolidated`, none.

    Args:
        folder: of a model.
    """
    return sum(file.stat().st_size for file in _weight_files(folder))


def _weight_files(folder: Path) -> list[Path]:
    whole = folder / WHOLE[0]
    index = folder / INDICES[0]
    if whole.is_file():
        return [whole]
    if index.is_file():
        return [folder / name for name in sorted(set(read_index(index).values()))]
    return [file for pattern in WEIGHTS for file in folder.glob(pattern)]


def is_stock(model: Any) -> bool:
    """Whether a model is of a class of transformers as it is, so that programs without this package open it.

    Args:
        model: any model.
    """
    return type(model) is source_of(type(model)) and type(model).__module__.startswith("transformers.")


def _from_hub(name: str) -> Path:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    repository, _ = hub.split(name)
    place = Path(name).expanduser()
    looks_local = name.startswith((".", "/", "~")) or name.count("/") > 1 or place.exists()
    try:
        validate_repo_id(repository)
    except HFValidationError:
        looks_local = True
    if looks_local or ("/" not in name and not hub.folder_here(name)):
        what = f"{name} is a file, not the folder of a model" if place.is_file() else f"there is no folder {name}"
        raise ModelError(f"{what}{near_path(place)}; a name on the hub is owner/name")
    folder = hub.folder_here(name)
    if folder is None:
        try:
            hub.fetch(name)
        except DataError as error:
            raise ModelError(f"there is no folder {name}{near_path(place)}, and {error}") from error
        folder = hub.folder_here(name)
    if folder is None:
        raise ModelError(f"{name} was fetched from the hub and is not whole in its cache: is the disk full?")
    return folder


def _check_format(folder: Path) -> None:
    """Weights in safetensors, whole, and a tokenizer: transformers says that it lacks a file or a library, not why."""
    if not any(next(folder.glob(pattern), None) for pattern in TOKENIZERS):
        raise ModelError(f"{folder} has no tokenizer: copy the one of the model there")
    pickled = [file.name for pattern in PICKLED for file in sorted(folder.glob(pattern))]
    if pickled and not any(folder.glob(WEIGHTS[0])):
        raise ModelError(
            f"{folder} has its weights in {pickled[0]}, a pickle; only safetensors are read here: save them as such "
            f"(AutoModelForCausalLM.from_pretrained({str(folder)!r}).save_pretrained(NEW_FOLDER), and its tokenizer)"
        )
    for file in _weight_files(folder):
        if not file.is_file():
            raise ModelError(f"{folder} has no {file.name}, which {INDICES[0]} names: copy it there again")


def _check_causal(folder: Path) -> None:
    """By `config.json`: transformers makes a causal model of what is none, and draws a head."""
    file = folder / "config.json"
    if not file.is_file():
        raise ModelError(f"{folder} has no config.json: no model of transformers or of sparsebench lies there")
    try:
        fields = json.loads(file.read_text(encoding="utf-8"))
        classes = [str(one) for one in fields.get("architectures") or ()]
    except (ValueError, AttributeError, TypeError) as error:
        raise ModelError(f"{file} is damaged: {error!r}") from error
    if not any(one.endswith(CAUSAL) for one in classes):
        what = ", ".join(classes) or "no class by its config.json"
        raise ModelError(f"{folder} is {what}, no causal language model (a ...ForCausalLM), which these commands take")


def _tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        works = tokenizer.is_fast and len(tokenizer("a text")["input_ids"]) > 0
    except Exception as error:  # each kind of tokenizer has errors of its own
        raise ModelError(
            f"{folder} has no tokenizer that can be read: copy the one of the model there ({_one_line(error)})"
        ) from error
    if not works:
        raise ModelError(
            f"the tokenizer in {folder} is none of the fast ones of transformers, or has an empty vocabulary"
        )
    return tokenizer


def _one_line(error: Exception) -> str:
    return reason_of(error)[:200]
