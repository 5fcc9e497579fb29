"""Base of the methods that are one set of adapters, and the kinds that can be pruned, by name."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from torch import nn

from sparsebench.models.adapters import (
    AdapterConfig,
    BottleneckConfig,
    CombinedConfig,
    ConvConfig,
    LoRAConfig,
    attach,
    preset,
)
from sparsebench.models.anatomy import describe
from sparsebench.models.errors import ModelError

from .context import Context
from .method import NotApplicable
from .parameter_efficient import ParameterEfficientMethod

Kind = Literal["bottleneck", "houlsby", "pfeiffer", "parallel", "lora", "mam"]
"""Adapters with a bottleneck to prune: "bottleneck" is one after each FFN, or after each block of a CNN."""


@dataclass(frozen=True, kw_only=True)
class AdapterMethod(ParameterEfficientMethod):
    """A frozen backbone with the adapters that `config` names."""

    on_images: ClassVar[bool] = False
    """Whether the adapters need a backbone that sees an image as tokens."""

    @abstractmethod
    def config(self, backbone: nn.Module, **common: Any) -> AdapterConfig:
        """The adapters; `common` are their `blocks` and `seed`."""

    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        """The frozen backbone with adapters. Raises NotApplicable where it has no place for them."""
        blocks = self.blocks_of(backbone)
        if self.needs_attention and blocks[0].attention is None:
            raise NotApplicable("the backbone has no attention")
        if self.on_images and describe(backbone).prefix_tokens is None:
            raise NotApplicable("the backbone does not see an image as tokens")
        config = self.config(backbone, **self.common(context))
        try:
            attach(backbone, config)
        except ModelError as error:
            raise NotApplicable(str(error)) from error
        return backbone

    def common(self, context: Context) -> dict[str, Any]:
        """What every configuration takes from the method and the cell."""
        return {"blocks": self.blocks, "seed": self.init_seed(context)}


def prunable(kind: Kind, backbone: nn.Module, *, rank: int, init: Any, **common: Any) -> AdapterConfig:
    """Adapters of a kind with bottlenecks of `rank` units; MAM's prefix is as published and is never pruned."""
    return _MAKERS[kind](backbone, {"r": rank, "init": init, **common})


def _bottleneck(backbone: nn.Module, fields: dict[str, Any]) -> AdapterConfig:
    kind = ConvConfig if describe(backbone).blocks[0].attention is None else BottleneckConfig
    return kind(**fields)


def _mam(backbone: nn.Module, fields: dict[str, Any]) -> AdapterConfig:
    published = preset("mam")
    assert isinstance(published, CombinedConfig)
    prefix, ffn = published.parts
    common = {"blocks": fields["blocks"], "seed": fields["seed"]}
    return replace(published, parts=(replace(prefix, **common), replace(ffn, **fields)), seed=fields["seed"])


def _preset(name: str) -> Callable[[nn.Module, dict[str, Any]], AdapterConfig]:
    return lambda backbone, fields: preset(name, **fields)


_MAKERS: dict[str, Callable[[nn.Module, dict[str, Any]], AdapterConfig]] = {
    "bottleneck": _bottleneck,
    "lora": lambda backbone, fields: LoRAConfig(**fields),
    "mam": _mam,
    **{name: _preset(name) for name in ("houlsby", "pfeiffer", "parallel")},
}
