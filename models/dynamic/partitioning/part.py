"""Dynamic layers, whole, partitioned and compact, as a part of a model that folders of our own say."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import ModelError, check_choice
from ...sparsity.masked import pack_mask, unpack_mask
from ..compact_weights import CompactWeights
from ..config import DynamicConfig
from ..conversion import REPLACEMENTS, how_made, make_dynamic
from ..convolution.attention_vector import AttentionVector
from ..convolution.compact_vector import CompactVector
from ..convolution.warehouse import WarehouseConv2d
from ..layer import DynamicLayer
from ..packed_mask import PackedMask
from ..partially_dynamic import PartiallyDynamic
from ..timm_cond_conv import TimmCondConv
from .parts import attention_vectors, dynamic_layers

KINDS: dict[str, type[DynamicConfig]] = {kind.__name__: kind for kind in (*REPLACEMENTS, TimmCondConv)}


class DynamicParts:
    """Dynamic layers; see `hub.parts.FolderPart`."""

    floor = 2

    def holds(self, module: nn.Module) -> bool:
        """Whether a module is a dynamic layer."""
        return isinstance(module, DynamicLayer | WarehouseConv2d)

    def describe(self, model: nn.Module) -> dict[str, Any]:
        """How the model was made dynamic, by name its partitions (their scale) and compact forms (their sizes), and the
        names of what is not trained.
        """
        found: dict[str, Any] = {"configs": [], "partitions": {}, "layers": {}, "attentions": {}}
        for config, modules in how_made(model):
            entry = {"kind": type(config).__name__, "fields": dataclasses.asdict(config)}
            if modules is not None:
                entry["modules"] = modules
            found["configs"].append(entry)
        if not found["configs"]:
            raise ModelError(f"the dynamic layers of this {type(model).__name__} were not made by make_dynamic(model)")
        for name, module in model.named_modules():
            if isinstance(module, PartiallyDynamic) and module.partition is not None:
                found["partitions"][name] = module.partition.scale
        for name, layer in dynamic_layers(model).items():
            if layer.compact is not None:
                found["layers"][name] = _weights_entry(layer.compact)
        for name, vector in attention_vectors(model).items():
            if vector.compact is not None:
                found["attentions"][name] = _vector_entry(vector.compact)
        found["frozen"] = [name for name, value in model.named_parameters() if not value.requires_grad]
        return found

    def build(self, model: nn.Module, description: dict[str, Any]) -> None:
        """Make the model dynamic, so far as it is not, with partitions and compact forms that await their values."""
        for entry in description["configs"][len(how_made(model)) :]:
            make_dynamic(model, _config(entry), modules=entry.get("modules"))
        layers = dynamic_layers(model)
        vectors = attention_vectors(model)
        parts: dict[str, PartiallyDynamic] = {**layers, **vectors}
        for name, scale in description["partitions"].items():
            _named(parts, name).set_partition(scale=scale)
        for name, entry in description["layers"].items():
            layer = _named(layers, name)
            _check_fits(name, layer, [layer.num_kernels, *layer.weight_shape], [entry["kernels"], *entry["shape"]])
            layer.put_compact(_empty_weights(entry, layer))
        for name, entry in description["attentions"].items():
            vector = _named(vectors, name)
            _check_fits(name, vector, [*vector.weight_shape, vector.hidden], [entry["channels"], entry["hidden"]])
            vector.put_compact(_empty_vector(entry, vector))

    def store(self, model: nn.Module, tensors: dict[str, Tensor]) -> None:
        """Bits in the place of the masks of compact forms."""
        for name, module in _masked(model):
            tensors[f"{name}.bits"] = pack_mask(tensors.pop(f"{name}.mask")).to(module.mask.device)

    def restore(self, model: nn.Module, description: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Masks in the place of bits."""
        for name, module in _masked(model):
            bits = tensors.pop(f"{name}.bits", None)
            if bits is None or bits.numel() != module.mask_bytes():
                raise ModelError(f"there is no mask of {module.mask.numel()} bits for {name}: the folder is not whole")
            mask = unpack_mask(bits, module.mask.shape)
            if int(mask.count_nonzero()) != module.entries:
                raise ModelError(f"the mask of {name} has not {module.entries} entries: the folder is damaged")
            tensors[f"{name}.mask"] = mask.to(bits.device)

    def finish(self, model: nn.Module, description: dict[str, Any]) -> None:
        """No gradient for what had none: what a partition leaves without use."""
        for name in description.get("frozen", ()):
            model.get_parameter(name).requires_grad_(False)


def _config(entry: Mapping[str, Any]) -> DynamicConfig:
    check_choice("kind of dynamic layers", entry["kind"], tuple(KINDS))
    fields = {}
    for name, value in entry["fields"].items():
        fields[name] = tuple(value) if isinstance(value, list) else value
    return KINDS[entry["kind"]](**fields)


def _weights_entry(weights: CompactWeights) -> dict[str, Any]:
    return {
        "shape": list(weights.shape),
        "kernels": weights.kernels,
        "unit": weights.unit,
        "mask": list(weights.mask.shape),
        "pruned": weights.static is None,
        "dynamic": weights.entries,
    }


def _vector_entry(vector: CompactVector) -> dict[str, Any]:
    return {
        "channels": vector.mask.numel(),
        "hidden": vector.hidden,
        "pruned": vector.static is None,
        "dynamic": vector.entries,
    }


def _empty_weights(entry: Mapping[str, Any], layer: DynamicLayer) -> CompactWeights:
    mask = _some_mask(entry["mask"], entry["dynamic"])
    return CompactWeights(
        entry["shape"],
        entry["kernels"],
        entry["unit"],
        mask,
        dtype=layer.weight_dtype,
        pruned=entry["pruned"],
        device=layer.bank.device,
    )


def _empty_vector(entry: Mapping[str, Any], vector: AttentionVector) -> CompactVector:
    mask = _some_mask([entry["channels"]], entry["dynamic"])
    weight = vector.fc.weight
    return CompactVector(entry["hidden"], mask, dtype=weight.dtype, pruned=entry["pruned"], device=weight.device)


def _some_mask(shape: list[int], dynamic: int) -> Tensor:
    """A mask of this shape with as many entries: which ones, the file says."""
    mask = torch.zeros(shape, dtype=torch.bool)
    mask.view(-1)[:dynamic] = True
    return mask


def _named(parts: Mapping[str, Any], name: str) -> Any:
    if name not in parts:
        raise ModelError(
            f"{name} is no dynamic layer, and no attention of ODConv, of the model: make_dynamic(model, config) with "
            "the configuration of the saved model first"
        )
    return parts[name]


def _check_fits(name: str, part: DynamicLayer | AttentionVector, ours: list[int], theirs: list[int]) -> None:
    if part.compact is not None:
        raise ModelError(f"{name} has a compact form already: load into a model that was made dynamic only")
    if ours != theirs:
        raise ModelError(f"{name} has the sizes {theirs} in the folder, but the model's are {ours}")


def _masked(model: nn.Module) -> list[tuple[str, PackedMask]]:
    return [(name, module) for name, module in model.named_modules() if isinstance(module, PackedMask)]
