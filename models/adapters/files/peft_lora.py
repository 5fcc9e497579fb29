"""Plain LoRA in files of Hugging Face PEFT: on linear layers of blocks, and on fused parameters of experts."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...anatomy import Anatomy, Site
from ...errors import ModelError
from ...sparsity.masked import Masked
from ..adapter_set import AdapterSet
from ..config import AdapterConfig, CombinedConfig
from ..kinds.expert_lora import ExpertLoRALayer, Update, expert_layer, expert_linears
from ..kinds.lora import LoRAConfig, LoRALayer, outputs_of
from ..layer import AdapterLayer
from ..named import exactly
from ..wrapping import path_without_wrappers
from .peft_experts import FusedFactors, fused_stacks, fused_tensors
from .peft_folder import PREFIX, ByModule, Contents, PeftFile, Read, one_for_all

FACTORS = {"lora_A.weight": "A", "lora_B.weight": "B"}
# Of fields that are set, these are read, or say nothing that the tensors do not.
_READ = {"r", "lora_alpha", "alpha_pattern", "use_rslora", "lora_dropout", "bias", "init_lora_weights"}
_TRAINING = {"loftq_config", "eva_config", "corda_config", "lora_ga_config", "velora_config", "ensure_weight_tying"}
_UNUSED = {"megatron_core", "qalora_group_size", "rank_pattern", "target_parameters"}
FIELDS = frozenset(_READ | _TRAINING | _UNUSED)
"""Those that plain LoRA may have set."""


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


def read_in_blocks(file: PeftFile, fused: list[FusedFactors], factors: ByModule, head: dict[str, Tensor]) -> Read:
    """LoRA on layers of blocks: the tensors say which are adapted and with which rank, the configuration the scaling.

    Args:
        file: for its configuration.
        fused: factors of fused parameters of experts.
        factors: those of linear layers.
        head: what is not of adapters.
    """
    layers: list[tuple[str, int, float]] = []
    state = dict(head)
    for path, factor in factors.items():
        r = len(factor["A"])
        layers.append((path, r, scaling_of(file.config, path, r) * r))
        state[f"{path}.lora_A.0.weight"] = factor["A"]
        state[f"{path}.lora_B.0.weight"] = factor["B"]
    experts: list[tuple[str, str, int, float]] = []
    for path, parameter, r, lora_A, lora_B in fused:
        experts.append((path, parameter, r, scaling_of(file.config, f"{path}.{parameter}", r) * r))
        state[f"{path}.lora_A.{parameter}.weight"] = lora_A
        state[f"{path}.lora_B.{parameter}.weight"] = lora_B
    listed = NamedLoRAConfig(
        layers=tuple(layers),
        experts=tuple(experts),
        dropout=file.config.get("lora_dropout") or 0.0,
        train_head=bool(head),
    )
    return Read(listed, state)


def by_rank(file: PeftFile, factors: ByModule, part: Callable[..., AdapterConfig]) -> AdapterConfig:
    """One part, `part(modules, r=, alpha=)`, for each rank and alpha that a file has."""
    alike: dict[tuple[int, float], list[str]] = {}
    for path, factor in factors.items():
        r = len(factor["A"])
        alike.setdefault((r, scaling_of(file.config, path, r) * r), []).append(exactly(path))
    parts = [part(tuple(modules), r=r, alpha=alpha) for (r, alpha), modules in alike.items()]
    if len(parts) == 1:
        return parts[0]
    return CombinedConfig(parts=tuple(parts), train_head=parts[0].train_head)


def written_lora(adapters: AdapterSet) -> Contents:
    """What PEFT reads as the same update.

    Pruned factors are dense, with zeros. Where one fused matrix has pairs of factors for parts of its rows, PEFT gets
    one pair of the ranks' sum.
    """
    tensors: dict[str, Tensor] = {}
    scales: dict[str, tuple[int, float]] = {}
    fused_scales: dict[str, tuple[int, float]] = {}
    dropouts: list[float] = []
    for path, layer in adapters.layers():
        if isinstance(layer, ExpertLoRALayer):
            for place, parameter, r, lora_A, lora_B in fused_tensors(path, layer):
                tensors[f"{PREFIX}{place}.lora_A.weight"] = lora_A
                tensors[f"{PREFIX}{place}.lora_B.weight"] = lora_B
                fused_scales[f"{path}.{parameter}"] = (r, layer.scaling[parameter] * r)
            dropouts.append(0.0)  # PEFT refuses any other with fused parameters
            continue
        assert isinstance(layer, LoRALayer)
        down, up = _one_pair(layer)
        tensors |= {f"{PREFIX}{path}.lora_A.weight": down, f"{PREFIX}{path}.lora_B.weight": up}
        scales[path] = (len(down), layer.scaling * len(down))
        dropouts.append(layer.dropout.p)
    return Contents(lora_fields(scales, fused_scales, one_for_all("dropout", dropouts)), tensors)


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
        # "^": else the name of one module would also mean those whose names end with it.
        "rank_pattern": {f"^{path}": rank for path, (rank, _) in everywhere.items() if rank != r},
        "alpha_pattern": {f"^{path}": _number(a) for path, (_, a) in everywhere.items() if a != alpha},
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
