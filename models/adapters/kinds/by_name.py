"""LoRA, on convolutions of any size too, and bottlenecks around modules that are chosen by name."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from ...anatomy import Site, has_linear_view, linear_view
from ...errors import ModelError
from ..config import AdapterConfig
from ..initialisation import adapter_dtype
from ..layer import AdapterLayer
from ..named import NamedConfig
from .bottleneck import Bottleneck, BottleneckConfig, ParallelAdapter, SequentialAdapter
from .conv_lora import ConvLoRALayer, has_kernel
from .lora import LoRAConfig, LoRALayer, outputs_of


@dataclass(frozen=True, kw_only=True)
class ByNameConfig(NamedConfig):
    """LoRA or a bottleneck on modules by their names: what `LoRAConfig` and `BottleneckConfig` say, but for the sites.

    A bottleneck acts on the output of each module ("sequential") or beside it ("parallel"). Its width is that of the
    layer; of a module that is no linear layer, `width` says it.

    Attributes:
        adapter: the settings; `targets`, `blocks`, `train_head` and `seed` of this one do not count.
        width: the last dimension of what the modules give, where they are not linear layers.
    """

    adapter: AdapterConfig
    width: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.adapter, LoRAConfig):
            return
        if not isinstance(self.adapter, BottleneckConfig):
            raise ModelError(f"adapter={self.adapter} must be a LoRAConfig or a BottleneckConfig")
        if self.adapter.placement not in ("sequential", "parallel"):
            raise ModelError(
                f"placement={self.adapter.placement!r} needs to know the blocks: around a module by name an adapter is "
                "'sequential' or 'parallel'"
            )

    def around(self, site: Site, name: str, generator: torch.Generator) -> AdapterLayer:
        """The layer with the adapter.

        Args:
            site: where the module lies.
            name: its name in the model without wrappers.
            generator: draws what the adapter starts from.

        Raises:
            ModelError: the module cannot have this kind.
        """
        module = site.get()
        if isinstance(self.adapter, LoRAConfig):
            if not has_linear_view(module) and not isinstance(module, nn.Conv2d):
                kind = f"{type(module).__module__}.{type(module).__name__}"
                said = "it acts on torch.nn.Linear and Conv2d, torch_geometric's Linear once it knows its inputs and "
                said += "transformers' Conv1D; a bottleneck acts on any module"
                raise ModelError(f"{name} is a {kind}, on which LoRA cannot act: {said}")
            if has_kernel(module):
                return ConvLoRALayer(module, self.adapter, generator, name)
            return LoRALayer(module, [(0, outputs_of(module))], self.adapter, generator, name)
        assert isinstance(self.adapter, BottleneckConfig)
        like = next(module.parameters(), None)
        if like is None:
            raise ModelError(f"{name} is a {type(module).__name__} without parameters: name one that has some")
        width = self._width(module, name)
        adapter = Bottleneck(width, self.adapter, generator).to(like.device, adapter_dtype(like))
        kind = ParallelAdapter if self.adapter.placement == "parallel" else SequentialAdapter
        return kind(module, adapter, self.adapter.scale)

    def _width(self, module: nn.Module, name: str) -> int:
        if not has_linear_view(module):
            if self.width is None:
                raise ModelError(f"{name} is a {type(module).__name__}: give the width of what it returns, width=...")
            return self.width
        assert isinstance(self.adapter, BottleneckConfig)
        outputs, inputs = linear_view(module).weight.shape
        if self.adapter.placement == "parallel" and outputs != inputs:
            raise ModelError(f"{name} has {inputs} inputs and {outputs} outputs: beside it a bottleneck needs as many")
        return outputs
