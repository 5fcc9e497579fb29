"""Checkpoints of Hugging Face PEFT, both ways: which of its methods is which kind here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from ...errors import ModelError
from ..adapter_set import AdapterSet
from ..kinds.bottleneck import ScaledAdapter
from ..kinds.dora import DoRALayer
from ..kinds.expert_lora import ExpertLoRALayer
from ..kinds.ia3 import IA3Layer
from ..kinds.lora import LoRALayer
from ..kinds.prefix import PrefixLayer
from ..kinds.vera import VeRALayer
from ..layer import AdapterLayer
from .peft_bottleneck import METHOD, load_bottleneck, save_bottleneck
from .peft_dora import load_dora, save_dora
from .peft_folder import read_folder
from .peft_ia3 import load_ia3, save_ia3
from .peft_lora import save_lora
from .peft_lora_by_name import load_any_lora
from .peft_prefix import load_prefix, save_prefix
from .peft_vera import load_vera, save_vera

Load = Callable[[nn.Module, Mapping[str, Any], Mapping[str, Tensor], str, "str | Path"], AdapterSet]
Save = Callable[[AdapterSet, "str | Path", "str | None"], None]


class _Method(NamedTuple):
    layers: tuple[type[AdapterLayer], ...]
    load: Load
    save: Save


_METHODS: dict[str, _Method] = {
    "LORA": _Method((LoRALayer, ExpertLoRALayer), load_any_lora, save_lora),
    "DORA": _Method((DoRALayer,), load_dora, save_dora),
    "IA3": _Method((IA3Layer,), load_ia3, save_ia3),
    "VERA": _Method((VeRALayer,), load_vera, save_vera),
    METHOD: _Method((ScaledAdapter,), load_bottleneck, save_bottleneck),
    "PREFIX_TUNING": _Method((PrefixLayer,), load_prefix, save_prefix),
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
    config, tensors = read_folder(Path(folder))
    kind = config.get("peft_type")
    if kind == "LORA" and config.get("use_dora"):
        kind = "DORA"
    if kind in _METHODS:
        return _METHODS[kind].load(model, config, tensors, name, folder)
    reason = "no kind of adapter here computes what it does"
    if kind in _VIRTUAL:
        reason = "its virtual tokens make a text longer, which no kind of adapter here does"
    raise ModelError(f"{folder} has peft_type={config.get('peft_type')!r}, which cannot be loaded: {reason}")


def save_peft(adapters: AdapterSet, folder: str | Path, base_model_name: str | None = None) -> None:
    """Write a set, and its head, so that PEFT can load it: `PeftModel.from_pretrained(model, folder)`.

    For bottlenecks `sparsebench.models.adapters.peft_tuners` has to be imported there.

    Args:
        adapters: a set of LoRA, DoRA, IA3 or VeRA layers, bottlenecks or prefixes that is on its model.
        folder: where to; it is made if it is not there.
        base_model_name: name or path of the model without adapters, for PEFT's `base_model_name_or_path`.

    Raises:
        ModelError: the set holds layers of another kind, or of several, or is not on its model. Nothing is written.
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
    _METHODS[found.pop()].save(adapters, folder, base_model_name)


def _method_of(layer: AdapterLayer) -> str | None:
    for name, method in _METHODS.items():
        if isinstance(layer, method.layers):
            return name
    return None
