"""LoRA checkpoints in the format of Hugging Face PEFT: `adapter_config.json` and `adapter_model.safetensors`."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ...anatomy import Anatomy, Site, describe
from ...errors import ModelError
from ...sparsity.masked import Masked
from ..adapter_set import AdapterSet
from ..attachment import attach
from ..config import AdapterConfig
from ..kinds.expert_lora import ExpertLoRALayer, Update, expert_layer, expert_linears
from ..kinds.lora import LoRAConfig, LoRALayer, outputs_of
from ..layer import AdapterLayer
from ..wrapping import path_without_wrappers
from .peft_experts import fused_stacks, fused_tensors, split_fused

CONFIG = "adapter_config.json"
TENSORS = "adapter_model.safetensors"
_PREFIX = "base_model.model."
_FACTOR = re.compile(r"(?P<path>.+)\.lora_(?P<factor>[AB])\.weight")
# Of fields that are set, these are read, or say nothing that the tensors do not.
_READ = {"peft_type", "r", "lora_alpha", "alpha_pattern", "use_rslora", "lora_dropout", "bias", "init_lora_weights"}
_NAMES_MODULES = {"target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "rank_pattern"}
_NAMES_MODULES |= {"modules_to_save", "fan_in_fan_out", "target_parameters"}
_TRAINING = {"loftq_config", "eva_config", "corda_config", "lora_ga_config", "velora_config", "ensure_weight_tying"}
_ORIGIN = {"base_model_name_or_path", "revision", "task_type", "auto_mapping", "peft_version", "inference_mode"}
_UNUSED = {"megatron_core", "qalora_group_size", "runtime_config"}
_KNOWN = _READ | _NAMES_MODULES | _TRAINING | _ORIGIN | _UNUSED
_PLAIN_STARTS = (None, True, False, "gaussian", "eva", "orthogonal")


@dataclass(frozen=True, kw_only=True)
class NamedLoRAConfig(AdapterConfig):
    """LoRA on listed linear layers: (name in the model without wrappers, r, alpha) of each; see `LoRAConfig`.

    `experts`: likewise on fused parameters of experts, (name of their module, of the parameter, r, alpha).
    """

    layers: tuple[tuple[str, int, float], ...]
    dropout: float = 0.0
    experts: tuple[tuple[str, str, int, float], ...] = ()

    def place(self, anatomy: Anatomy, generator: torch.Generator) -> Iterator[tuple[Site, AdapterLayer]]:
        """A LoRA layer around each of them. Raises `ModelError` for those that are not linear layers of a block."""
        sites: dict[str, Site] = {}
        for block in anatomy.blocks:
            linears = list(block.linears)
            if block.mlp is not None and block.mlp.experts is not None:
                linears += expert_linears(block.mlp.experts)
            for site in linears:
                sites[path_without_wrappers(anatomy.model, site.path)] = site
        unknown = [name for name, _, _ in self.layers if name not in sites]
        if unknown:
            what = "is no linear layer" if len(unknown) == 1 else "are no linear layers"
            raise ModelError(
                f"{', '.join(unknown)} {what} of a block of {type(anatomy.model).__name__}: LoRA goes on those only"
            )
        for name, r, alpha in self.layers:
            layer = sites[name].get()
            config = LoRAConfig(r=r, alpha=alpha, dropout=self.dropout)
            yield sites[name], LoRALayer(layer, [(0, outputs_of(layer))], config, generator, name)
        yield from self._in_experts(anatomy, generator)

    def _in_experts(self, anatomy: Anatomy, generator: torch.Generator) -> Iterator[tuple[Site, AdapterLayer]]:
        updates: dict[str, dict[str, Update]] = {}
        for path, name, r, alpha in self.experts:
            updates.setdefault(path, {})[name] = Update(r, alpha / r)
        known = fused_stacks(anatomy)
        for path, its_updates in updates.items():
            if path not in known:
                raise ModelError(f"{path} holds no fused experts in this {type(anatomy.model).__name__}")
            yield expert_layer(known[path], its_updates, "zero_up", generator)


def load_peft(model: nn.Module, folder: str | Path, name: str = "default") -> AdapterSet:
    """Attach to a model a LoRA checkpoint that PEFT wrote; a head in it is loaded, and trained on.

    The tensors say which layers are adapted, and with which rank; the configuration gives their scaling.

    Args:
        model: the model that the checkpoint was trained on.
        folder: the folder with PEFT's `adapter_config.json` and its tensors.
        name: the name of the new set.

    Returns:
        The set, attached and with the saved values.

    Raises:
        ModelError: another method or variant than LoRA (the message names the field), layers outside the blocks, files
            that are missing, cannot be read or do not fit the model. The model stays as it was.
    """
    config, tensors = _read(Path(folder))
    _check(config, folder)
    factors, rest = _factors(tensors)
    _check_head(model, rest, folder)
    fused, factors = split_fused(describe(model), factors)
    layers: list[tuple[str, int, float]] = []
    state: dict[str, Tensor] = {}
    for path, factor in factors.items():
        r = factor["A"].shape[0]
        layers.append((path, r, _scaling(config, path, r) * r))
        state[f"{path}.lora_A.0.weight"] = factor["A"]
        state[f"{path}.lora_B.0.weight"] = factor["B"]
    experts: list[tuple[str, str, int, float]] = []
    for path, parameter, r, lora_A, lora_B in fused:
        experts.append((path, parameter, r, _scaling(config, f"{path}.{parameter}", r) * r))
        state[f"{path}.lora_A.{parameter}.weight"] = lora_A
        state[f"{path}.lora_B.{parameter}.weight"] = lora_B
    listed = NamedLoRAConfig(
        layers=tuple(layers),
        experts=tuple(experts),
        dropout=config.get("lora_dropout") or 0.0,
        train_head=bool(rest),
    )
    adapters = attach(model, listed, name)
    try:
        _check_shapes(adapters, state)
        adapters.load_state_dict(state | rest)
    except ModelError as error:
        adapters.remove()
        raise ModelError(f"{folder} does not fit this {type(model).__name__}: {error}") from error
    return adapters


def save_peft(adapters: AdapterSet, folder: str | Path, base_model_name: str | None = None) -> None:
    """Write a set of LoRA layers, and its head, so that PEFT can load it: `PeftModel.from_pretrained(model, folder)`.

    Pruned factors are written dense, with zeros. Where one fused matrix has pairs of factors for parts of its rows,
    PEFT gets the same update as one pair of the ranks' sum.

    Args:
        adapters: a set of LoRA layers that is on its model.
        folder: where to; it is made if it is not there.
        base_model_name: name or path of the model without adapters, for PEFT's `base_model_name_or_path`.

    Raises:
        ModelError: the set holds layers of another kind, or is not on its model.
    """
    adapters.check_attached()
    tensors: dict[str, Tensor] = {}
    scales: dict[str, tuple[int, float]] = {}
    dropout = 0.0
    fused_scales: dict[str, tuple[int, float]] = {}
    for path, layer in adapters.layers():
        if isinstance(layer, ExpertLoRALayer):
            for place, parameter, r, lora_A, lora_B in fused_tensors(path, layer):
                tensors |= {f"{place}.lora_A.weight": lora_A, f"{place}.lora_B.weight": lora_B}
                fused_scales[f"{path}.{parameter}"] = (r, layer.scaling[parameter] * r)
            continue
        if not isinstance(layer, LoRALayer):
            raise ModelError(f"{path} has a {type(layer).__name__}: only LoRA can be written in this format")
        down, up = _one_pair(layer)
        tensors |= {f"{path}.lora_A.weight": down, f"{path}.lora_B.weight": up}
        scales[path] = (len(down), layer.scaling * len(down))
        dropout = layer.dropout.p
    heads: list[str] = []
    for site in adapters.heads:
        head = path_without_wrappers(adapters.model, site.path)
        heads.append(head)
        tensors |= {f"{head}.{key}": value for key, value in site.get().state_dict().items()}
    config = _config(scales, heads, fused_scales) | {
        "base_model_name_or_path": base_model_name,
        "lora_dropout": dropout,
    }
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written: dict[str, Tensor] = {}
    for key, value in tensors.items():
        written[f"{_PREFIX}{key}"] = value.detach().cpu().contiguous().clone()
    save_file(written, folder / TENSORS, metadata={"format": "pt"})
    (folder / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    for file in (CONFIG, TENSORS):
        if not (folder / file).is_file():
            raise ModelError(f"{folder} has no {file}: it is not a checkpoint of PEFT with safe tensors")
    try:
        return json.loads((folder / CONFIG).read_text(encoding="utf-8")), load_file(folder / TENSORS)
    except (json.JSONDecodeError, SafetensorError) as error:
        raise ModelError(f"{folder} cannot be read: {error}") from error


def _check(config: Mapping[str, object], folder: str | Path) -> None:
    """Refuse what is not plain LoRA; unknown fields count only where they are set."""
    wrong = [key for key in sorted(config) if key not in _KNOWN and config[key]]
    if config.get("peft_type") != "LORA":
        wrong.append("peft_type")
    if config.get("bias", "none") != "none":
        wrong.append("bias")
    # The other starts change the base weights, which the checkpoint does not hold.
    if config.get("init_lora_weights", True) not in _PLAIN_STARTS:
        wrong.append("init_lora_weights")
    if wrong:
        named = ", ".join(f"{key}={config.get(key)!r}" for key in wrong)
        raise ModelError(f"{folder} is not plain LoRA: {named} cannot be loaded")


def _factors(tensors: Mapping[str, Tensor]) -> tuple[dict[str, dict[str, Tensor]], dict[str, Tensor]]:
    """A and B by the names of the adapted modules, and all other tensors."""
    factors: dict[str, dict[str, Tensor]] = {}
    rest = {}
    for key, value in tensors.items():
        name = key.removeprefix(_PREFIX)
        found = _FACTOR.fullmatch(name)
        if found:
            factors.setdefault(found["path"], {})[found["factor"]] = value
        else:
            rest[name] = value
    lone = [path for path, parts in factors.items() if len(parts) < 2]
    if lone or not factors:
        raise ModelError(f"LoRA needs lora_A and lora_B of each module; incomplete: {', '.join(lone) or 'all'}")
    return factors, rest


def _check_head(model: nn.Module, rest: Mapping[str, Tensor], folder: str | Path) -> None:
    """In addition to LoRA there may be nothing but the head."""
    heads = [path_without_wrappers(model, site.path) for site in describe(model).heads]
    prefixes = tuple(f"{head}." for head in heads)
    foreign: set[str] = set()
    for key in rest:
        if not key.startswith(prefixes):
            foreign.add(key.rpartition(".")[0])
    if foreign:
        names = ", ".join(sorted(foreign))
        known = ", ".join(heads) or "None"
        raise ModelError(f"{folder} holds {names}: in addition to LoRA only the head ({known}) can be loaded")


def _check_shapes(adapters: AdapterSet, state: Mapping[str, Tensor]) -> None:
    """Here a narrower factor, which loading would take for one that has lost units, is an error."""
    for key, value in adapters.state_dict().items():
        if key in state and state[key].shape != value.shape:
            raise ModelError(f"{key} has shape {tuple(value.shape)}, not {tuple(state[key].shape)} as given")


def _scaling(config: Mapping[str, Any], path: str, r: int) -> float:
    """alpha / r, or alpha / sqrt(r) with `use_rslora`; the first pattern that ends the name gives alpha."""
    patterns = config.get("alpha_pattern") or {}
    alpha = config.get("lora_alpha", 8)
    for pattern, its_alpha in patterns.items():
        if re.match(rf"(.*\.)?({pattern})$", path):
            alpha = its_alpha
            break
    if config.get("use_rslora"):
        return alpha / math.sqrt(r)
    return alpha / r


def _one_pair(layer: LoRALayer) -> tuple[Tensor, Tensor]:
    """A (r, in) and B (out, r) with the same update; the factors of several spans become the blocks of a larger B."""
    downs: list[Tensor] = []
    ups: list[Tensor] = []
    for lora_A, lora_B in zip(layer.lora_A, layer.lora_B, strict=True):
        assert isinstance(lora_A, Masked) and isinstance(lora_B, Masked)
        downs.append(lora_A.effective())
        ups.append(lora_B.effective())
    ranks = sum(up.shape[1] for up in ups)
    joined = ups[0].new_zeros(outputs_of(layer.get_base_layer()), ranks, *ups[0].shape[2:])
    first = 0
    for (start, stop), up in zip(layer.spans, ups, strict=True):
        last = first + up.shape[1]
        joined[start:stop, first:last] = up
        first = last
    return torch.cat(downs), joined


def _config(
    scales: Mapping[str, tuple[int, float]], heads: Sequence[str], fused: Mapping[str, tuple[int, float]]
) -> dict[str, Any]:
    """The most common rank and alpha, and patterns for the others; `fused`: of parameters instead of modules."""
    everywhere = {**scales, **fused}
    (r, alpha), _ = Counter(everywhere.values()).most_common(1)[0]
    return {
        "peft_type": "LORA",
        "task_type": None,
        "inference_mode": True,
        "r": r,
        "lora_alpha": _number(alpha),
        "rank_pattern": {path: rank for path, (rank, _) in everywhere.items() if rank != r},
        "alpha_pattern": {path: _number(a) for path, (_, a) in everywhere.items() if a != alpha},
        "target_modules": list(scales),
        "target_parameters": list(fused) or None,
        "modules_to_save": list(heads) or None,
        "bias": "none",
        "fan_in_fan_out": False,
        "init_lora_weights": True,
        "use_rslora": False,
    }


def _number(value: float) -> int | float:
    if value == int(value):
        return int(value)
    return value
