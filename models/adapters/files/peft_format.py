"""Checkpoints of Hugging Face PEFT, both ways: which of its methods is which kind here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from torch import nn

from ...errors import ModelError
from ..adapter_set import AdapterSet
from ..layer import AdapterLayer
from .peft_bottleneck import BOTTLENECK, METHOD
from .peft_dora import DORA
from .peft_folder import Method, attach_read, read_folder, with_head, write_folder
from .peft_ia3 import IA3
from .peft_lora_by_name import LORA
from .peft_prefix import PREFIX_TUNING
from .peft_vera import VERA

_METHODS: dict[str, Method] = {
    "LORA": LORA,
    "DORA": DORA,
    "IA3": IA3,
    "VERA": VERA,
    METHOD: BOTTLENECK,
    "PREFIX_TUNING": PREFIX_TUNING,
}
"""By `peft_type`; DoRA is LORA with `use_dora` there, bottlenecks are a method that `peft_tuners` registers."""
_VIRTUAL = ("PROMPT_TUNING", "MULTITASK_PROMPT_TUNING", "P_TUNING", "CPT")


def load_peft(model: nn.Module, folder: str | Path, name: str = "default") -> AdapterSet:
    """Attach to a model a checkpoint that PEFT wrote: LoRA, DoRA, IA3, VeRA, bottlenecks or the prefixes of a decoder.

    A head in it is loaded, and trained on.

    Args:
        model: the model that the checkpoint was trained on.
        folder: the folder with PEFT's `adapter_config.json` and its tensors.
        name: the name of the new set.

    Returns:
        The set, attached and with the saved values.

    Raises:
        ModelError: another method or variant (the message names the field), layers that are not there, files that are
            missing, cannot be read or do not fit the model. The model stays as it was.
    """
    file = read_folder(folder)
    kind = file.config.get("peft_type")
    if kind == "LORA" and file.config.get("use_dora"):
        kind = "DORA"
    method = _METHODS.get(kind) if isinstance(kind, str) else None
    if method is not None:
        file = replace(file, what=method.what)
        file.check_fields(method.fields)
        return attach_read(model, method.read(model, file), name, folder)
    reason = "no kind of adapter here computes what it does"
    if kind in _VIRTUAL:
        reason = "its virtual tokens make a text longer, which no kind of adapter here does"
    raise ModelError(f"{folder} has peft_type={kind!r}, which cannot be loaded: {reason}")


def save_peft(adapters: AdapterSet, folder: str | Path, base_model_name: str | None = None) -> None:
    """Write a set, and its head, so that PEFT can load it: `PeftModel.from_pretrained(model, folder)`.

    For bottlenecks `sparsebench.models.adapters.peft_tuners` has to be imported there.

    Args:
        adapters: a set of LoRA, DoRA, IA3 or VeRA layers, bottlenecks or prefixes that is on its model.
        folder: where to; it is made if it is not there.
        base_model_name: name or path of the model without adapters, for PEFT's `base_model_name_or_path`.

    Raises:
        ModelError: the set holds layers of another kind, or of several, or layers that differ in what a file says once
            (dropout, the projections of VeRA), or is not on its model. Nothing is written.
    """
    adapters.check_attached()
    found: set[str] = set()
    for path, layer in adapters.layers():
        method = _method_of(layer)
        if method is None:
            known = ", ".join(_METHODS)
            raise ModelError(f"{path} has a {type(layer).__name__}: this format has {known} only")
        found.add(method)
    if len(found) > 1:
        raise ModelError(
            f"adapters {adapters.name!r} are {' and '.join(sorted(found))}: a file of PEFT holds one method"
        )
    kind = found.pop()
    contents = _METHODS[kind].written(adapters)
    write_folder(folder, with_head(adapters, contents, kind, base_model_name))


def _method_of(layer: AdapterLayer) -> str | None:
    for name, method in _METHODS.items():
        if isinstance(layer, method.layers):
            return name
    return None
