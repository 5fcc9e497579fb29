"""Attach adapters to a model; everything else is frozen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..anatomy import Anatomy, Site, describe, has_parameters
from ..errors import ModelError
from .config import AdapterConfig
from .layer import AdapterLayer, FrozenNorm
from .lora import LoRALayer
from .masked import Masked


def attach(model: nn.Module, config: AdapterConfig) -> AdapterSet:
    """Put adapters into `model`, in place, and freeze the rest of it.

    The head stays trainable unless `config.train_head` is False, or it shares its weight with an embedding. Batch norms
    are frozen with their running statistics. Raises `ModelError`, and leaves the model untouched, when it carries
    adapters already or has no place for these.
    """
    if any(isinstance(module, AdapterLayer) for module in model.modules()):
        raise ModelError("the model carries adapters already: remove() them first")
    anatomy = describe(model)
    generator = torch.Generator().manual_seed(config.seed)
    blocks = _chosen(anatomy, config)
    placed = [pair for block in blocks for pair in config.place(block, generator)]
    if not placed:
        kinds = ", ".join(sorted({type(site.get()).__name__ for block in blocks for site in block.linears}))
        raise ModelError(
            f"{config} finds no target in {type(model).__name__}, whose blocks have {kinds or 'no linear layers'}; "
            "targets=('linears',) means all of them"
        )
    adapters = AdapterSet(model, config, [], [p for p in model.parameters() if p.requires_grad], None)
    model.requires_grad_(False)
    for site, module in placed + list(_batch_norms(model)):
        adapters.replaced.append((site.parent, site.name, site.get()))
        site.replace(module)
    for _, layer in adapters.layers():
        layer.train(layer.base.training)
    if config.train_head and anatomy.head is not None and not _tied(anatomy):
        adapters.head = anatomy.head
        anatomy.head.get().requires_grad_(True)
    return adapters


@dataclass(eq=False)
class AdapterSet:
    """The adapters of a model.

    Copy or pickle it together with its model, as `copy.deepcopy((model, adapters))`, or alone through `adapters.model`.
    """

    model: nn.Module
    config: AdapterConfig
    replaced: list[tuple[nn.Module, str, nn.Module]]
    was_trainable: list[nn.Parameter]
    head: Site | None

    def layers(self) -> Iterator[tuple[str, AdapterLayer]]:
        """Names in the model and adapter layers, in order."""
        for name, module in self.model.named_modules():
            if isinstance(module, AdapterLayer):
                yield name, module

    def modules(self) -> dict[str, nn.Module]:
        """The added modules by their name in the model; the head is not among them."""
        return {f"{name}.{child}": module for name, layer in self.layers() for child, module in layer.added()}

    def parameters(self) -> list[nn.Parameter]:
        """Everything that is trained: the adapters' parameters, then the head's."""
        return [parameter for module in self._trained().values() for parameter in module.parameters()]

    def prunable(self) -> dict[str, Masked]:
        """The layers whose weight can be pruned, by their name in the model."""
        return {
            f"{name}.{inner}" if inner else name: layer
            for name, module in self.modules().items()
            for inner, layer in module.named_modules()
            if isinstance(layer, Masked)
        }

    def weights(self) -> dict[str, nn.Parameter]:
        """The prunable weights (not biases) by name."""
        return {f"{name}.weight": layer.weight for name, layer in self.prunable().items()}

    def count(self, *, head: bool = False) -> int:
        """Number of parameters that are trained, without pruned entries; with those of the head if asked for."""
        modules = self._trained() if head else self.modules()
        numel = sum(parameter.numel() for module in modules.values() for parameter in module.parameters())
        return numel - sum(layer.masked_out() for layer in self.prunable().values())

    def state_dict(self) -> dict[str, Tensor]:
        """Weights, masks and the head, by name in the model."""
        return {
            f"{name}.{key}": value
            for name, module in self._trained().items()
            for key, value in module.state_dict().items()
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Load what `state_dict` gave, masks included. Raises `ModelError` when the names do not match."""
        expected, given = _without_masks(self.state_dict()), _without_masks(state)
        if expected != given:
            missing, unexpected = sorted(expected - given), sorted(given - expected)
            raise ModelError(f"these are not the adapters of this model: missing {missing}, unexpected {unexpected}")
        for name, module in self._trained().items():
            prefix = f"{name}."
            module.load_state_dict({key[len(prefix) :]: state[key] for key in state if key.startswith(prefix)})

    def merge(self) -> nn.Module:
        """Fold the adapters into the weights of the model and return it; exact for LoRA, refused for others.

        The head keeps what it learned, and the parameters get back the `requires_grad` they had.
        """
        layers = [layer for _, layer in self.layers()]
        for layer in layers:
            if not isinstance(layer, LoRALayer):
                raise ModelError(
                    f"{type(layer).__name__} is not linear in its input and cannot be merged into a weight"
                )
        for layer in layers:
            if isinstance(layer, LoRALayer):
                layer.merge()
        return self.remove()

    def remove(self) -> nn.Module:
        """Take the adapters off and return the model; the head keeps what it learned."""
        for parent, name, original in reversed(self.replaced):
            original.train(getattr(parent, name).training)
            setattr(parent, name, original)
        self.replaced.clear()
        for parameter in self.model.parameters():
            parameter.requires_grad_(False)
        for parameter in self.was_trainable:
            parameter.requires_grad_(True)
        return self.model

    def _trained(self) -> dict[str, nn.Module]:
        head = {} if self.head is None else {self.head.path: self.head.get()}
        return self.modules() | head


def _chosen(anatomy: Anatomy, config: AdapterConfig) -> tuple:
    if config.blocks == "all":
        return anatomy.blocks
    if config.blocks > len(anatomy.blocks):
        raise ModelError(f"blocks={config.blocks} exceeds the {len(anatomy.blocks)} blocks of the model")
    return anatomy.blocks[-config.blocks :]


def _batch_norms(model: nn.Module) -> Iterator[tuple[Site, nn.Module]]:
    for name, module in model.named_modules():
        if isinstance(module, _BatchNorm):
            parent, _, child = name.rpartition(".")
            yield Site(model.get_submodule(parent), child, name), FrozenNorm(module)


def _tied(anatomy: Anatomy) -> bool:
    assert anatomy.head is not None
    places = (site.get() for site in anatomy.embeddings)
    embedded = {id(p) for place in places for p in ([place] if isinstance(place, Tensor) else place.parameters())}
    return not has_parameters(anatomy.head.get()) or any(id(p) in embedded for p in anatomy.head.get().parameters())


def _without_masks(state: Mapping[str, Tensor]) -> set[str]:
    return {key for key in state if not key.endswith(".mask")}
