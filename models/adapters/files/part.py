"""Adapters on a model as a part of it that folders of our own say."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ...errors import ModelError
from ...sparsity.masked import Masked, pack_mask, positions, unpack_mask
from ..adapter_set import adapter_sets
from ..by_name import attach_by_name
from ..layer import AdapterLayer, FrozenNorm
from ..trainable import trained_in
from .saving import decode, encode


class AttachedSets:
    """Sets of adapters, pruned ones too; see `hub.parts.FolderPart`."""

    floor = 3
    """They lie around dynamic layers and mixtures."""

    def holds(self, module: nn.Module) -> bool:
        """Whether a module stands around one of the model."""
        return isinstance(module, AdapterLayer | FrozenNorm)

    def describe(self, model: nn.Module) -> dict[str, Any]:
        """The sets in the order in which they were attached, with the forms of what can be pruned in them.

        `trained`: the names of all that is, which is more than adapters and heads where layers came in after them.
        """
        sets = []
        for name, adapters in adapter_sets(model).items():
            forms = {}
            for place, layer in adapters.prunable().items():
                forms[place] = [list(layer.shape), None if layer.values is None else layer.values.numel()]
            enabled = all(layer.enabled for _, layer in adapters.layers())
            sets.append({"name": name, "config": encode(adapters.config), "enabled": enabled, "forms": forms})
        if not sets:
            raise ModelError(f"the adapters in this {type(model).__name__} are of no set that was attached to it")
        return {"sets": sets, "trained": [name for name, value in model.named_parameters() if value.requires_grad]}

    def build(self, model: nn.Module, description: dict[str, Any]) -> None:
        """Attach the sets, and give their layers the forms that pruning left."""
        for entry in description["sets"]:
            adapters = attach_by_name(model, decode(entry["config"], "the folder"), entry["name"])
            layers = adapters.prunable()
            if layers.keys() != entry["forms"].keys():
                raise ModelError(f"adapters {entry['name']!r} would be attached to other layers than they were")
            for place, (shape, kept) in entry["forms"].items():
                layers[place].take_form(shape, kept)
            if not entry["enabled"]:
                adapters.disable()

    def store(self, model: nn.Module, tensors: dict[str, Tensor]) -> None:
        """Bits in the place of the positions of what pruning left."""
        for name, layer in _pruned(model):
            del tensors[f"{name}.index"]
            tensors[f"{name}.bits"] = pack_mask(layer.mask).to(layer.stored.device)

    def restore(self, model: nn.Module, description: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Positions in the place of bits."""
        for name, layer in _pruned(model):
            bits = tensors.pop(f"{name}.bits", None)
            if bits is None:
                raise ModelError(f"there is no mask of {name}: the folder is not whole")
            tensors[f"{name}.index"] = positions(unpack_mask(bits, layer.shape)).to(bits.device)

    def finish(self, model: nn.Module, description: dict[str, Any]) -> None:
        """Train what was trained, and have the sets know the parameters that removing them makes trainable again."""
        trained = set(description["trained"])
        for name, value in model.named_parameters():
            value.requires_grad_(name in trained)
        sets = adapter_sets(model).values()
        adapted = set()
        for adapters in sets:
            for _, layer in adapters.layers():
                adapted |= {id(value) for _, value in layer.adapter_parameters()}
        # Not packed weights, which are no plain parameters and never train.
        plain = trained_in(
            model,
            lambda value: type(value) is nn.Parameter and value.is_floating_point() and id(value) not in adapted,
        )
        for adapters in sets:
            adapters.was_trainable = plain


def _pruned(model: nn.Module) -> list[tuple[str, Masked]]:
    found = []
    for name, module in model.named_modules():
        if isinstance(module, Masked) and module.values is not None:
            found.append((name, module))
    return found
