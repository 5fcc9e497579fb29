"""Base of the methods that are one set of adapters, and the kinds that can be pruned, by name."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from torch import nn

from sparsebench.models.adapters import AdapterConfig, BottleneckConfig, CombinedConfig, ConvConfig, LoRAConfig, preset
from sparsebench.models.anatomy import describe

from ...contracts.context import Context
from ...contracts.method import NotApplicable
from ...contracts.traits import IMAGE_TOKENS
from ._parameter_efficient import ParameterEfficientMethod

Kind = Literal["bottleneck", "houlsby", "pfeiffer", "parallel", "lora", "mam"]
"""Adapters with a bottleneck to prune: "bottleneck" is one after each FFN, or after each block of a CNN."""


@dataclass(frozen=True, kw_only=True)
class AdapterMethod(ParameterEfficientMethod):
    """A frozen backbone with the adapters that `config` names."""

    @abstractmethod
    def config(self, backbone: nn.Module, **common: Any) -> AdapterConfig:
        """The adapters; `common` are fields that all configurations have."""

    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        """The frozen backbone with adapters. Raises NotApplicable where it has no place for them."""
        self.blocks_of(backbone)
        if IMAGE_TOKENS in self.needs and describe(backbone).prefix_tokens is None:
            raise NotApplicable("the backbone does not see an image as tokens")
        self.put(backbone, self.config(backbone, **self.common(context)))
        return backbone


def prunable(kind: Kind, backbone: nn.Module, *, rank: int, init: Any, **common: Any) -> AdapterConfig:
    """Adapters of a kind with bottlenecks of `rank` units; MAM's prefix is as published and is never pruned."""
    return _MAKERS[kind](backbone, {"r": rank, "init": init, **common})


def _bottleneck(backbone: nn.Module, fields: dict[str, Any]) -> AdapterConfig:
    first = describe(backbone).blocks[0]
    has_ffn = first.attention is not None or (first.mlp is not None and not first.convs)
    kind = BottleneckConfig if has_ffn else ConvConfig
    return kind(**fields)


def _mam(backbone: nn.Module, fields: dict[str, Any]) -> AdapterConfig:
    published = preset("mam")
    assert isinstance(published, CombinedConfig)
    prefix, ffn = published.parts
    whole = {name: fields[name] for name in ("seed", "train_head")}
    return replace(published, parts=(replace(prefix, blocks=fields["blocks"]), replace(ffn, **fields)), **whole)


def _preset(name: str) -> Callable[[nn.Module, dict[str, Any]], AdapterConfig]:
    return lambda backbone, fields: preset(name, **fields)


_MAKERS: dict[str, Callable[[nn.Module, dict[str, Any]], AdapterConfig]] = {
    "bottleneck": _bottleneck,
    "lora": lambda backbone, fields: LoRAConfig(**fields),
    "mam": _mam,
    **{name: _preset(name) for name in ("houlsby", "pfeiffer", "parallel")},
}
