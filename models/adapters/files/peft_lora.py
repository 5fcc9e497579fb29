"""Plain LoRA in files of Hugging Face PEFT, on modules and on fused parameters of experts."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...anatomy import Anatomy, Site, describe
from ...errors import ModelError
from ...sparsity.masked import Masked
from ..adapter_set import AdapterSet
from ..config import AdapterConfig
from ..kinds.expert_lora import ExpertLoRALayer, Update, expert_layer, expert_linears
from ..kinds.lora import LoRAConfig, LoRALayer, outputs_of
from ..layer import AdapterLayer
from ..wrapping import path_without_wrappers
from .peft_experts import fused_stacks, fused_tensors, split_fused
from .peft_folder import (
    NAMES,
    PREFIX,
    attach_state,
    check_fields,
    check_head,
    check_whole,
    head_tensors,
    origin,
    write_folder,
)

_FACTOR = re.compile(r"(?P<path>.+)\.lora_(?P<factor>[AB])\.weight")
# Of fields that are set, these are read, or say nothing that the tensors do not.
_READ = {"r", "lora_alpha", "alpha_pattern", "use_rslora", "lora_dropout", "bias", "init_lora_weights"}
_TRAINING = {"loftq_config", "eva_config", "corda_config", "lora_ga_config", "velora_config", "ensure_weight_tying"}
_UNUSED = {"megatron_core", "qalora_group_size", "rank_pattern", "target_parameters"}
KNOWN = NAMES | _READ | _TRAINING | _UNUSED
"""Fields that plain LoRA may have set."""
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


def load_lora(
    model: nn.Module, config: Mapping[str, Any], tensors: Mapping[str, Tensor], name: str, folder: str | Path
) -> AdapterSet:
    """Attach plain LoRA: the tensors say which layers are adapted and with which rank, the configuration the scaling.

    Args:
        model: the model that the checkpoint was trained on.
        config: the fields of the file.
        tensors: its tensors.
        name: of the new set.
        folder: named in messages.

    Raises:
        ModelError: a variant of LoRA, layers outside the blocks, tensors that do not fit. The model stays as it was.
    """
    check_plain(config, KNOWN, "LoRA", folder)
    factors, rest = factors_of(tensors, folder)
    check_head(model, rest, "LoRA", folder)
    fused, factors = split_fused(describe(model), factors)
    layers: list[tuple[str, int, float]] = []
    state: dict[str, Tensor] = {}
    for path, factor in factors.items():
        r = factor["A"].shape[0]
        layers.append((path, r, scaling_of(config, path, r) * r))
        state[f"{path}.lora_A.0.weight"] = factor["A"]
        state[f"{path}.lora_B.0.weight"] = factor["B"]
    experts: list[tuple[str, str, int, float]] = []
    for path, parameter, r, lora_A, lora_B in fused:
        experts.append((path, parameter, r, scaling_of(config, f"{path}.{parameter}", r) * r))
        state[f"{path}.lora_A.{parameter}.weight"] = lora_A
        state[f"{path}.lora_B.{parameter}.weight"] = lora_B
    listed = NamedLoRAConfig(
        layers=tuple(layers),
        experts=tuple(experts),
        dropout=config.get("lora_dropout") or 0.0,
        train_head=bool(rest),
    )
    return attach_state(model, listed, name, state | rest, folder)


def save_lora(adapters: AdapterSet, folder: str | Path, base_model_name: str | None) -> None:
    """Write a set of LoRA layers, and its head.

    Pruned factors are written dense, with zeros. Where one fused matrix has pairs of factors for parts of its rows,
    PEFT gets the same update as one pair of the ranks' sum.

    Args:
        adapters: a set of LoRA layers that is on its model.
        folder: where to.
        base_model_name: for PEFT's `base_model_name_or_path`.
    """
    heads, tensors = head_tensors(adapters)
    scales: dict[str, tuple[int, float]] = {}
    dropout = 0.0
    fused_scales: dict[str, tuple[int, float]] = {}
    for path, layer in adapters.layers():
        if isinstance(layer, ExpertLoRALayer):
            for place, parameter, r, lora_A, lora_B in fused_tensors(path, layer):
                tensors[f"{PREFIX}{place}.lora_A.weight"] = lora_A
                tensors[f"{PREFIX}{place}.lora_B.weight"] = lora_B
                fused_scales[f"{path}.{parameter}"] = (r, layer.scaling[parameter] * r)
            continue
        assert isinstance(layer, LoRALayer)
        down, up = _one_pair(layer)
        tensors |= {f"{PREFIX}{path}.lora_A.weight": down, f"{PREFIX}{path}.lora_B.weight": up}
        scales[path] = (len(down), layer.scaling * len(down))
        dropout = layer.dropout.p
    config = origin("LORA", base_model_name, heads) | lora_fields(scales, fused_scales, dropout)
    write_folder(folder, config, tensors)


def check_plain(config: Mapping[str, Any], known: frozenset[str], what: str, folder: str | Path) -> None:
    """Refuse variants of LoRA; unknown fields count only where they are set."""
    check_fields(config, known, what, folder)
    wrong: list[str] = []
    if config.get("bias", "none") != "none":
        wrong.append("bias")
    # The other starts change the base weights, which the checkpoint does not hold.
    if config.get("init_lora_weights", True) not in _PLAIN_STARTS:
        wrong.append("init_lora_weights")
    if wrong:
        named = ", ".join(f"{key}={config.get(key)!r}" for key in wrong)
        raise ModelError(f"{folder} is not plain {what}: {named} cannot be loaded")


def factors_of(tensors: Mapping[str, Tensor], folder: str | Path) -> tuple[dict[str, dict[str, Tensor]], dict]:
    """A and B by the names of the adapted modules, and all other tensors, without the prefix."""
    factors: dict[str, dict[str, Tensor]] = {}
    rest: dict[str, Tensor] = {}
    for key, value in tensors.items():
        name = key.removeprefix(PREFIX)
        found = _FACTOR.fullmatch(name)
        if found:
            factors.setdefault(found["path"], {})[found["factor"]] = value
        else:
            rest[name] = value
    check_whole(factors, 2, "lora_A or lora_B", folder)
    return factors, rest


def scaling_of(config: Mapping[str, Any], path: str, r: int) -> float:
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


def lora_fields(
    scales: Mapping[str, tuple[int, float]], fused: Mapping[str, tuple[int, float]], dropout: float
) -> dict[str, Any]:
    """The most common rank and alpha, and patterns for the others; `fused`: of parameters instead of modules."""
    everywhere = {**scales, **fused}
    (r, alpha), _ = Counter(everywhere.values()).most_common(1)[0]
    return {
        "r": r,
        "lora_alpha": _number(alpha),
        "rank_pattern": {path: rank for path, (rank, _) in everywhere.items() if rank != r},
        "alpha_pattern": {path: _number(a) for path, (_, a) in everywhere.items() if a != alpha},
        "target_modules": list(scales),
        "target_parameters": list(fused) or None,
        "lora_dropout": dropout,
        "bias": "none",
        "fan_in_fan_out": False,
        "init_lora_weights": True,
        "use_rslora": False,
    }


def _number(value: float) -> int | float:
    if value == int(value):
        return int(value)
    return value
