"""Dynamic layers, whole, partitioned and compact, as a part of a model that configurations and folders of ours say."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import ModelError, check_choice
from ..compact_weights import CompactWeights
from ..config import DynamicConfig
from ..conversion import REPLACEMENTS, blocks_now, how_made, put_dynamic
from ..convolution.attention_vector import AttentionVector
from ..convolution.compact_vector import CompactVector
from ..convolution.fd_conv import FDConv2d
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
        return isinstance(module, DynamicLayer | WarehouseConv2d | FDConv2d)

    def describe(self, model: nn.Module) -> dict[str, Any]:
        """How the model was made dynamic, by name its partitions (their scale) and compact forms (their sizes), and the
        names of what is not trained.
        """
        found: dict[str, Any] = {"configs": _config_entries(model), "partitions": {}, "layers": {}, "attentions": {}}
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
        """Make the model dynamic, so far as it is not, with partitions and compact forms that await their values.

        Until then they have some of those that the model has.
        """
        # Random numbers are drawn on the CPU, and masks are counted, where a model is made without memory, too.
        with torch.device("cpu"):
            for entry in description["configs"][len(how_made(model)) :]:
                put_dynamic(model, _config(entry), entry.get("modules"))
            layers = dynamic_layers(model)
            vectors = attention_vectors(model)
            parts: dict[str, PartiallyDynamic] = {**layers, **vectors}
            for name, scale in description["partitions"].items():
                _named(model, parts, name).set_partition(scale=scale)
            for name, entry in description["layers"].items():
                layer = _named(model, layers, name)
                _check_fits(name, layer, [layer.num_kernels, *layer.weight_shape], [entry["kernels"], *entry["shape"]])
                layer.put_compact(_some_weights(entry, layer))
            for name, entry in description["attentions"].items():
                vector = _named(model, vectors, name)
                _check_fits(name, vector, [*vector.weight_shape, vector.hidden], [entry["channels"], entry["hidden"]])
                vector.put_compact(_some_vector(entry, vector))

    def store(self, model: nn.Module, tensors: dict[str, Tensor]) -> None:
        """Of the masks of compact forms the bits alone."""
        for name, _ in _masked(model):
            del tensors[f"{name}.mask"]

    def restore(self, model: nn.Module, description: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Masks beside their bits; `finish` reads them."""
        for name, module in _masked(model):
            bits = tensors.get(f"{name}.bits")
            if bits is None or bits.numel() != module.mask_bytes():
                raise ModelError(f"there is no mask of {module.mask.numel()} bits for {name}: the folder is not whole")
            tensors[f"{name}.mask"] = module.mask

    def finish(self, model: nn.Module, description: dict[str, Any]) -> None:
        """Masks from their bits, and no gradient for what had none: what a partition leaves without use."""
        for name, module in _masked(model):
            module.read_bits(name)
        named = dict(model.named_parameters())
        for name in description.get("frozen", ()):
            here = _here(model, named, name)
            if here is not None:  # the head of the saved model, of which this is the body
                named[here].requires_grad_(False)

    def words(self, description: dict[str, Any]) -> str:
        """The configurations, and how many layers and attentions are partitioned or compact."""
        said = ", ".join(_config_words(entry) for entry in description["configs"])
        compact = len(description["layers"]) + len(description["attentions"])
        numbers = {"partitioned": len(description["partitions"]), "in compact form": compact}
        counted = [f"{number} {what}" for what, number in numbers.items() if number]
        return f"dynamic layers by {said}" + (f", {' and '.join(counted)}" if counted else "")


def _config_entries(model: nn.Module) -> list[dict[str, Any]]:
    """How the model was made dynamic, without what was made in blocks that are dropped since."""
    found = []
    for made in how_made(model):
        fields = dataclasses.asdict(made.config)
        if made.modules is None:
            fields["blocks"] = blocks_now(model, made)
        if not fields["blocks"]:
            continue
        entry = {"kind": type(made.config).__name__, "fields": fields}
        if made.modules is not None:
            entry["modules"] = made.modules
        found.append(entry)
    return found


def _config(entry: Mapping[str, Any]) -> DynamicConfig:
    check_choice("kind of dynamic layers", entry["kind"], tuple(KINDS))
    fields = {}
    for name, value in entry["fields"].items():
        fields[name] = tuple(value) if isinstance(value, list) else value
    return KINDS[entry["kind"]](**fields)


def _config_words(entry: Mapping[str, Any]) -> str:
    """As it was written, without what it does not change."""
    config = _config(entry)
    changed = []
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if value != field.default:
            changed.append(f"{field.name}={value!r}")
    modules = f" in {entry['modules']!r}" if "modules" in entry else ""
    return f"{entry['kind']}({', '.join(changed)}){modules}"


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


def _some_weights(entry: Mapping[str, Any], layer: DynamicLayer) -> CompactWeights:
    mask = _some_mask(entry["mask"], entry["dynamic"], layer.bank)
    made = CompactWeights(
        entry["shape"],
        entry["kernels"],
        entry["unit"],
        mask,
        dtype=layer.weight_dtype,
        pruned=entry["pruned"],
        device=layer.bank.device,
    )
    if not layer.bank.is_meta:
        made.start_from(layer.bank, layer.static_start())
    return made


def _some_vector(entry: Mapping[str, Any], vector: AttentionVector) -> CompactVector:
    weight = vector.fc.weight
    mask = _some_mask([entry["channels"]], entry["dynamic"], weight)
    made = CompactVector(entry["hidden"], mask, dtype=weight.dtype, pruned=entry["pruned"], device=weight.device)
    if not weight.is_meta:
        made.start_from(vector.fc, vector.static_start())
    return made


def _some_mask(shape: list[int], dynamic: int, weight: Tensor) -> Tensor:
    """A mask of this shape with as many entries, beside a weight that has memory: which ones, the file says."""
    mask = torch.zeros(shape, dtype=torch.bool, device="cpu")
    mask.view(-1)[:dynamic] = True
    return mask if weight.is_meta else mask.to(weight.device)


def _named(model: nn.Module, parts: Mapping[str, Any], name: str) -> Any:
    here = _here(model, parts, name)
    if here is None:
        raise ModelError(
            f"{name} is no dynamic layer, and no attention of ODConv, of the model: make_dynamic(model, config) with "
            "the configuration of the saved model first"
        )
    return parts[here]


def _here(model: nn.Module, known: Collection[str], name: str) -> str | None:
    """What something is called in this model, which may be the body of the one that was saved, or have it as its body.

    None where it has nothing of this name.
    """
    body = f"{getattr(model, 'base_model_prefix', '')}."
    found = [each for each in (name, name.removeprefix(body), body + name) if each in known]
    return found[0] if found else None


def _check_fits(name: str, part: DynamicLayer | AttentionVector, ours: list[int], theirs: list[int]) -> None:
    if part.compact is not None:
        raise ModelError(f"{name} has a compact form already: load into a model that was made dynamic only")
    if ours != theirs:
        raise ModelError(f"{name} has the sizes {theirs} in the folder, but the model's are {ours}")


def _masked(model: nn.Module) -> list[tuple[str, PackedMask]]:
    return [(name, module) for name, module in model.named_modules() if isinstance(module, PackedMask)]
