"""Bottleneck adapters as a method of Hugging Face PEFT: `get_peft_model(model, PeftBottleneckConfig(...))`.

To import this module is to register the method, before PEFT loads such a file too. It imports PEFT.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from peft import PeftConfig
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_PREFIX_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer
from torch import Tensor, nn

from ..anatomy import Site, UnknownAnatomy, Wrapper, describe
from ..errors import ModelError
from .files.peft_bottleneck import HOLDER, METHOD
from .initialisation import Init
from .kinds.bottleneck import BottleneckConfig, Norm, Placement, ScaledAdapter, scaled
from .kinds.by_name import ByNameConfig
from .wrapping import path_without_wrappers

_PREFIX = "bottleneck_"


class _Method(str):
    """A name that PEFT takes for one of its enumeration, which cannot get another member."""

    @property
    def value(self) -> str:
        """The name."""
        return str(self)


_METHOD: Any = _Method(METHOD)


@dataclass
class PeftBottleneckConfig(PeftConfig):
    """Adapters up(dropout(act(down(x)))) of Houlsby, Pfeiffer, He and others; see `BottleneckConfig`.

    Attributes:
        r: width of the bottleneck.
        placement: "houlsby", "pfeiffer", "sequential" or "parallel".
        target_modules: as in PEFT; None puts adapters where `placement` has them in models whose anatomy is known. On
            other modules "sequential" and "parallel" act on what these give.
        exclude_modules: as in PEFT.
        modules_to_save: as in PEFT: what trains in addition, such as the head.
        activation: by its name.
        scale: a number, or "learned".
        use_bias: whether down and up have biases.
        norm: a LayerNorm on what goes "in" or comes "out".
        dropout: on the activation, in training.
        init: what they start from.
        width: of what target modules give that are neither linear layers nor known by an anatomy.
        seed: of the random numbers.
    """

    r: int = 64
    placement: Placement = "sequential"
    target_modules: list[str] | str | None = None
    exclude_modules: list[str] | str | None = None
    modules_to_save: list[str] | None = None
    activation: str = "gelu"
    scale: float | Literal["learned"] = 1.0
    use_bias: bool = True
    norm: Norm = "none"
    dropout: float = 0.0
    init: Init = "zero_up"
    width: int | None = None
    seed: int = 0
    layers_to_transform: list[int] | int | None = field(default=None)
    layers_pattern: list[str] | str | None = field(default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = _METHOD
        self.adapter()

    def adapter(self) -> BottleneckConfig:
        """The configuration here. Raises `ModelError` for a value that it has not."""
        return BottleneckConfig(
            r=self.r,
            placement=self.placement,
            activation=self.activation,
            scale=self.scale,
            bias=self.use_bias,
            norm=self.norm,
            dropout=self.dropout,
            init=self.init,
            seed=self.seed,
        )


class _Change(nn.Module):
    """scale A(x) of one adapter."""

    def __init__(self, layer: ScaledAdapter) -> None:
        super().__init__()
        self.adapter = layer.adapter
        self.scale = layer.scale

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., width) to the same shape."""
        return scaled(self.adapter(x), self.scale)


class BottleneckTunerLayer(Wrapper, BaseTunerLayer):
    """A module with adapters by name, of which the active ones act; `kind` says how, as an adapter here of that class.

    Describers see through it.
    """

    adapter_layer_names = (HOLDER,)
    other_param_names = ()

    def __init__(self, base_layer: nn.Module, kind: type[ScaledAdapter]) -> None:
        super().__init__(base_layer)
        self.kind: Any = kind
        self.bottleneck_changes = nn.ModuleDict()
        self._disable_adapters = False
        self.merged_adapters = []

    def add(self, name: str, layer: ScaledAdapter, *, inference_mode: bool) -> None:
        """Add the adapter of a layer under a name, and let it act if it is active."""
        if type(layer) is not self.kind:
            raise ModelError(
                f"adapters {name!r} act as a {type(layer).__name__} where others act as {self.kind.__name__}"
            )
        self.bottleneck_changes[name] = _Change(layer).train(self.training)
        self.set_adapter(self.active_adapters, inference_mode=inference_mode)

    def change(self, x: Tensor) -> Tensor:
        """The sum of what the active adapters give."""
        total = x.new_zeros(())
        for name in self.active_adapters:
            if name in self.bottleneck_changes:
                total = total + self.bottleneck_changes[name](x)
        return total

    def forward(self, *args: Any, **keywords: Any) -> Any:
        """The adapted output, or that of the module where adapters are disabled."""
        if self.disable_adapters:
            return self.base_layer(*args, **keywords)
        return self.kind.adapted(self, *args, **keywords)

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Refused: bottlenecks are not linear in their input."""
        raise ModelError("bottleneck adapters are not linear in their input and cannot be merged into a weight")


class BottleneckTuner(BaseTuner):
    """Puts `BottleneckTunerLayer` into a model; PEFT makes it."""

    prefix = _PREFIX
    tuner_layer_cls = BottleneckTunerLayer

    def _prepare_adapter_config(self, peft_config: Any, model_config: dict) -> Any:
        """Make the adapters of a known anatomy; where no modules are named, they are those of the placement."""
        self._generator = torch.Generator().manual_seed(peft_config.seed)
        try:
            self._placed = _places(self.model, peft_config, self._generator)
        except UnknownAnatomy as error:
            if peft_config.target_modules is None:
                raise UnknownAnatomy(f"{error}; or name target_modules") from error
            self._placed = {}
        if peft_config.target_modules is None:
            peft_config.target_modules = list(self._placed)
        return peft_config

    def _create_and_replace(
        self,
        peft_config: Any,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        parameter_name: str | None = None,
    ) -> None:
        """Add an adapter to one module: that of the placement where it has one there, else one by the name alone."""
        layer = self._placed.pop(current_key, None)
        if layer is None:
            layer = _by_name(peft_config, target, current_key, self._generator)
        if not isinstance(target, BottleneckTunerLayer):
            target = BottleneckTunerLayer(target, type(layer)).train(target.training)
            self._replace_module(parent, target_name, target, target.base_layer)
        target.add(adapter_name, layer, inference_mode=peft_config.inference_mode)
        if adapter_name not in self.active_adapters:
            target.bottleneck_changes[adapter_name].requires_grad_(False)

    def _replace_module(self, parent: nn.Module, child_name: str, new_module: nn.Module, child: nn.Module) -> None:
        """Put a module in the place of another, which need not have a weight: a block's dropout has none."""
        setattr(parent, child_name, new_module)

    @classmethod
    def _remove_adapter_name_from_key(cls, key: str, adapter_name: str) -> str:
        """Names in a file are without that of the adapter, which lies deeper in them here than PEFT expects."""
        return key.replace(f".{HOLDER}.{adapter_name}.", f".{HOLDER}.")


def _places(model: nn.Module, config: PeftBottleneckConfig, generator: torch.Generator) -> dict[str, ScaledAdapter]:
    """The layers that the placement has in a model whose anatomy is known, by names without wrappers."""
    anatomy = describe(model)
    found: dict[str, ScaledAdapter] = {}
    for site, layer in config.adapter().place(anatomy, generator):
        assert isinstance(layer, ScaledAdapter)
        found[path_without_wrappers(anatomy.model, site.path)] = layer
    return found


def _by_name(config: PeftBottleneckConfig, target: nn.Module, key: str, generator: torch.Generator) -> ScaledAdapter:
    """The layer for a module of which the name alone is known."""
    named = ByNameConfig(modules=(key,), adapter=config.adapter(), width=config.width)
    holder = nn.Module()
    holder.target = target.base_layer if isinstance(target, Wrapper) else target
    made = named.around(Site(holder, "target"), key, generator)
    assert isinstance(made, ScaledAdapter)
    return made


PEFT_TYPE_TO_CONFIG_MAPPING[_METHOD] = PeftBottleneckConfig
PEFT_TYPE_TO_TUNER_MAPPING[_METHOD] = BottleneckTuner
PEFT_TYPE_TO_PREFIX_MAPPING[_METHOD] = _PREFIX
