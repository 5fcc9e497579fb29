"""Folders for programs that know nothing of this package, and what opens them."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from sparsebench.models.anatomy.removed import RemovedAttention, RemovedMLP
from sparsebench.models.compression.quantisation import (
    dense_products,
    dequantise,
    export_compressed_tensors,
    packed_weights,
)
from sparsebench.models.compression.quantisation.files.compressed_tensors import VLLM, readers_of
from sparsebench.models.compression.trimming.experts.remapped import RemappedExperts
from sparsebench.models.errors import ModelError, check_choice
from sparsebench.models.hub.atomic_folder import written
from sparsebench.models.hub.comparison import check_outputs
from sparsebench.models.moe import export as export_mixture
from sparsebench.models.moe.stock_export import architectures
from sparsebench.models.moe.stock_export.stock import Engine

from .opening import Opened, is_stock
from .packed_stock import packed_stock_model

ENGINES: tuple[Engine, ...] = get_args(Engine)
OPENS = "opens it"
READER = "compressed_tensors"
"""The package with which transformers reads packed folders."""
REMAPPED = (
    "the router chooses among more experts than there are (merged ones, or means and nothing in their place), which no "
    "stock architecture says: drop experts with their rows (`--how drop`), or use sparsebench.models.load"
)
REMOVED = (
    "blocks without an attention or a feed-forward layer are in no stock architecture: drop whole blocks in their "
    "place (`--drop-blocks`), or use sparsebench.models.load"
)
NOT_TRIED = "not tried, as the package compressed-tensors is not installed: measured is what was written, in memory"


@dataclass(frozen=True)
class Exported:
    """The class that was written; a model in memory that computes what the folder says; and of each engine whether it
    opens the folder, or why not."""

    architecture: str
    model: Any
    engines: Mapping[str, str]


def write_stock(opened: Opened, out: Path, engine: Engine, architecture: str | None, dense: bool) -> Exported:
    """Write a model so that an engine opens it, and its tokenizer.

    Args:
        opened: the model.
        out: a new folder, which appears whole or not at all.
        engine: what is to run it.
        architecture: its name, as of `models.moe.export`; None: the first that fits.
        dense: packed weights become the dense ones that they stand for.

    Returns:
        What was written, and what opens it.

    Raises:
        ModelError: no stock architecture of the engine says the model. Nothing is written.
    """
    check_choice("engine", engine, ENGINES)
    model = opened.model
    reason = _unsayable(model)
    if reason is not None:
        raise ModelError(reason)
    if dense:
        dequantise(model)
    packed = next(packed_weights(model), None) is not None
    if packed:
        return _packed(opened, out, engine, architecture)
    if not is_stock(model):
        name = export_mixture(model, out, engine=engine, architecture=architecture, tokenizer=opened.tokenizer)
        return Exported(name, model, _opening(architectures(model), name))
    if architecture is not None:
        raise ModelError(f"{type(model).__name__} is a stock model already: it goes out as it is, without `to`")
    with written(out) as folder:
        model.save_pretrained(folder)
        opened.tokenizer.save_pretrained(folder)
    others = {other: "not known here: it is no export of a converted model" for other in ENGINES[1:-1]}
    return Exported(type(model).__name__, model, {"transformers": OPENS, **others})


def _unsayable(model: Any) -> str | None:
    """What was done to a model that no stock architecture says, of whatever family it is; None if there is nothing."""
    modules = list(model.modules())
    if any(isinstance(module, RemappedExperts) for module in modules):
        return REMAPPED
    if any(isinstance(module, RemovedAttention | RemovedMLP) for module in modules):
        return REMOVED
    return None


def _packed(opened: Opened, out: Path, engine: Engine, architecture: str | None) -> Exported:
    if engine == "llama.cpp":
        raise ModelError("llama.cpp reads no compressed-tensors: export the dense weights (`--dense`) and let it round")
    model = opened.model
    stock = model if is_stock(model) else packed_stock_model(model, architecture)
    reason = readers_of(next(packed_weights(stock))[1].grid)[VLLM]
    if engine == "vllm" and reason is not None:
        raise ModelError(f"vllm {reason}")
    report = export_compressed_tensors(stock, out, tokenizer=opened.tokenizer)
    engines = {reader: OPENS if reason is None else reason for reader, reason in report.readers.items()}
    return Exported(type(stock).__name__, stock, engines)


def _opening(by_engine: Mapping[Engine, str], name: str) -> dict[str, str]:
    """Of a folder of this class: the engines that would get the same one open it."""
    found: dict[str, str] = {}
    for engine, architecture in by_engine.items():
        if engine == "compressed-tensors":
            continue  # what reads packed weights, of which there are none
        if f"{architecture}ForCausalLM" == name:
            found[engine] = OPENS
        elif architecture.startswith("("):
            found[engine] = architecture[1:-1]
        else:
            found[engine] = f"as a {architecture}: export again with engine {engine}"
    return found


def open_plain(folder: Path, model: Any) -> tuple[Any, str]:
    """Open a folder as a program without this package would, and compare its outputs with those of the model.

    Args:
        folder: what was written.
        model: what it is to compute.

    Returns:
        The model that transformers makes of it, None where it cannot be tried here; and in words what was seen.

    Raises:
        ModelError: it opens as something else.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(folder)
    if getattr(config, "quantization_config", None) and importlib.util.find_spec(READER) is None:
        return None, NOT_TRIED
    found: Any = AutoModelForCausalLM.from_pretrained(folder, dtype="auto").eval()
    if not is_stock(found):
        raise ModelError(f"transformers opens {folder} as a {type(found).__name__}, which is no class of its own")
    with dense_products():
        check_outputs(model, found, f"transformers opens {folder}, but its model is another")
    return found, f"opened as {type(found).__name__}, with the outputs of the model"


def engines_of(model: Any) -> dict[str, str]:
    """What opens the folder of a model that was saved, and what would after an export.

    Args:
        model: as it was saved.
    """
    packed = next(packed_weights(model), None) is not None
    if is_stock(model) and not packed:
        return {"transformers": OPENS}
    found = {"sparsebench": OPENS}
    reason = _unsayable(model)
    if reason is not None:
        return found | dict.fromkeys(ENGINES, reason)
    if is_stock(model):
        return found | {"compressed-tensors": "after `sparsebench export`"}
    for engine, architecture in architectures(model).items():
        if architecture.startswith("("):
            found[engine] = architecture[1:-1]
        elif packed and engine != "compressed-tensors":
            found[engine] = f"after `sparsebench export --dense --engine {engine}`, as {architecture}"
        else:
            found[engine] = f"after `sparsebench export --engine {engine}`, as {architecture}"
    return found
