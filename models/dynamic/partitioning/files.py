"""The compact form of a model on disk and back, in a format of our own: safetensors, and a recipe of its layers.

A folder holds `sparsebench_compact.json` (which layers and attentions have a compact form, and its shape) and
`sparsebench_compact.safetensors` with every parameter and buffer of the model. Nothing in it is executed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import ModelError
from ...hub.atomic_folder import written
from ...hub.own_folders import put, read_recipe, read_tensors, write_recipe
from ..compact_weights import CompactWeights
from ..convolution.attention_vector import AttentionVector
from ..convolution.compact_vector import CompactVector
from ..layer import DynamicLayer
from ..mode_partition import ModePartition
from ..packed_mask import PackedMask, unpack_mask
from .parts import attention_vectors, dynamic_layers

FORMAT = 1
RECIPE = "sparsebench_compact.json"
WEIGHTS = "sparsebench_compact.safetensors"
BITS = ".compact.bits"
"""How the name of a mask ends."""


def save_compact(model: nn.Module, path: str | Path) -> int:
    """Write a model with compact layers to a new folder, which appears whole or not at all.

    Args:
        model: what `compact` made.
        path: a folder that is not there, or is empty.

    Returns:
        The bytes of its tensors.

    Raises:
        ModelError: a folder that is not empty, a model without compact layers. Nothing is written.

    Example::

        partition(model, 0.3, batches=batches, loss_fn=loss)
        compact(model)
        save_compact(model, "deployed")
        with torch.device("meta"):  # in another process: no dense weight is made
            model = timm.create_model("resnet18")
        load_compact(make_dynamic(model, config), "deployed")
    """
    recipe: dict[str, Any] = {"layers": {}, "attentions": {}}
    for name, layer in dynamic_layers(model).items():
        if layer.compact is not None:
            recipe["layers"][name] = _described(layer.compact)
    for name, vector in attention_vectors(model).items():
        if vector.compact is not None:
            recipe["attentions"][name] = _described_vector(vector.compact)
    if not any(recipe.values()):
        raise ModelError(f"{type(model).__name__} has no compact layer: partition(model, ratio), then compact(model)")
    tensors = {name: value.detach().contiguous().clone() for name, value in model.state_dict().items()}
    with written(path) as folder:
        from safetensors.torch import save_file

        save_file(tensors, folder / WEIGHTS)
        write_recipe(folder / RECIPE, FORMAT, recipe)
    return sum(tensor.nbytes for tensor in tensors.values())


def load_compact(model: nn.Module, path: str | Path) -> None:
    """Load a folder that `save_compact` wrote into a dynamic model, in place.

    Its layers get the compact form of the file, masks included.

    Args:
        model: a model of the same architecture, made dynamic with the same configuration. It may be on the meta device,
            so that no weight is made in vain.
        path: the folder.

    Raises:
        ModelError: a folder that is not ours or damaged, layers, names or shapes that differ, and a model on the meta
            device with buffers that no file holds (the positions of Swin and EVA-02). Nothing changes.
    """
    folder = Path(path)
    if not (folder / RECIPE).is_file():
        raise ModelError(f"{folder} has no {RECIPE}: it was not written by save_compact, or not to its end")
    recipe = read_recipe(folder / RECIPE, FORMAT)
    of_vectors = recipe.get("attentions", {})  # folders of earlier versions have none
    tensors = read_tensors(folder / WEIGHTS)
    layers = _matching_layers(model, recipe["layers"], folder)
    vectors = _matching_vectors(model, of_vectors, folder)
    made = {name: _empty(name, entry, tensors, folder) for name, entry in recipe["layers"].items()}
    made_vectors = {name: _empty_vector(name, entry, tensors, folder) for name, entry in of_vectors.items()}
    _check_filled(model)
    _check_tensors(model, {**made, **made_vectors}, tensors, folder)
    for name, weights in made.items():
        layers[name].put_compact(weights)
    for name, vector in made_vectors.items():
        vectors[name].put_compact(vector)
    for name, value in tensors.items():
        if not name.endswith(BITS):
            put(model, name, value.clone())  # aligned in memory, which a file is not
    for module in model.modules():
        if isinstance(module, ModePartition):
            module.read_scale()


def _described(weights: CompactWeights) -> dict[str, Any]:
    return {
        "shape": list(weights.shape),
        "kernels": weights.kernels,
        "unit": weights.unit,
        "mask": list(weights.mask.shape),
        "pruned": weights.static is None,
    }


def _described_vector(vector: CompactVector) -> dict[str, Any]:
    return {"channels": vector.mask.numel(), "hidden": vector.hidden, "pruned": vector.static is None}


def _matching_layers(model: nn.Module, recipe: Mapping[str, Any], folder: Path) -> dict[str, DynamicLayer]:
    """The layers of the model by the names of the recipe, all of them of the shapes that it says."""
    layers = dynamic_layers(model)
    for name, entry in recipe.items():
        layer = layers.get(name)
        if layer is None:
            raise ModelError(
                f"{folder} has a compact layer {name!r}, where this {type(model).__name__} has no dynamic layer: "
                "make_dynamic(model, config) with the configuration of the saved model first"
            )
        ours = [layer.num_kernels, *layer.weight_shape]
        theirs = [entry["kernels"], *entry["shape"]]
        if ours != theirs:
            raise ModelError(f"{folder}: {name} has kernels of shape {theirs}, but the model's are {ours}")
        _check_not_compact(name, layer)
    return layers


def _matching_vectors(model: nn.Module, recipe: Mapping[str, Any], folder: Path) -> dict[str, AttentionVector]:
    """The attentions of the model by the names of the recipe, all of them of the sizes that it says."""
    vectors = attention_vectors(model)
    for name, entry in recipe.items():
        vector = vectors.get(name)
        if vector is None:
            raise ModelError(
                f"{folder} has a compact attention {name!r}, where this {type(model).__name__} has none of ODConv: "
                "make_dynamic(model, config) with the configuration of the saved model first"
            )
        ours = [vector.weight_shape.numel(), vector.hidden]
        theirs = [entry["channels"], entry["hidden"]]
        if ours != theirs:
            raise ModelError(f"{folder}: {name} has channels and hidden units {theirs}, but the model's are {ours}")
        _check_not_compact(name, vector)
    return vectors


def _check_not_compact(name: str, part: DynamicLayer | AttentionVector) -> None:
    if part.compact is not None:
        raise ModelError(f"{name} has a compact form already: load into a model that was made dynamic only")


def _mask(name: str, shape: Sequence[int], tensors: Mapping[str, Tensor], folder: Path) -> Tensor:
    """The mask of one part in the file. Raises `ModelError` where its bits are missing or too few."""
    bits = tensors.get(f"{name}{BITS}")
    size = torch.Size(shape).numel()
    if bits is None or bits.numel() != -(-size // 8):
        raise ModelError(f"{folder / WEIGHTS} has no mask of {size} bits for {name}: it is not whole")
    return unpack_mask(bits, shape)


def _empty(name: str, entry: Mapping[str, Any], tensors: Mapping[str, Tensor], folder: Path) -> CompactWeights:
    """The compact weights of one layer, on the meta device but for the mask of the file."""
    mask = _mask(name, entry["mask"], tensors, folder)
    dtype = tensors[f"{name}.compact.dynamic"].dtype
    return CompactWeights(
        entry["shape"], entry["kernels"], entry["unit"], mask, dtype=dtype, pruned=entry["pruned"], device="meta"
    )


def _empty_vector(name: str, entry: Mapping[str, Any], tensors: Mapping[str, Tensor], folder: Path) -> CompactVector:
    """The compact form of one attention, on the meta device but for the mask of the file."""
    mask = _mask(name, [entry["channels"]], tensors, folder)
    dtype = tensors[f"{name}.compact.weight"].dtype
    return CompactVector(entry["hidden"], mask, dtype=dtype, pruned=entry["pruned"], device="meta")


def _check_filled(model: nn.Module) -> None:
    """Raise where a buffer would stay on the meta device: one that the model computes when it is made."""
    saved = model.state_dict().keys()
    lost = [name for name, value in model.named_buffers() if value.is_meta and name not in saved]
    if lost:
        raise ModelError(
            f"{type(model).__name__} has {len(lost)} buffers on the meta device that no file holds, as {lost[0]}: "
            'build it without torch.device("meta"), so that it computes them'
        )


def _check_tensors(
    model: nn.Module, made: Mapping[str, PackedMask], tensors: Mapping[str, Tensor], folder: Path
) -> None:
    """Raise unless the file has just the tensors of the model with these compact forms, in their shapes."""
    wanted = {name: value.shape for name, value in model.state_dict().items()}
    for name, weights in made.items():
        replaced = (f"{name}.fc.", f"{name}.partition.")
        gone = [key for key in wanted if key == f"{name}.bank" or key.startswith(replaced)]
        for key in gone:
            del wanted[key]
        for part, parameter in weights.named_parameters():
            wanted[f"{name}.compact.{part}"] = parameter.shape
        wanted[f"{name}{BITS}"] = torch.Size([weights.mask_bytes()])
    differing = sorted(wanted.keys() ^ tensors.keys())
    differing += [name for name in wanted.keys() & tensors.keys() if wanted[name] != tensors[name].shape]
    if differing:
        raise ModelError(f"{folder} does not fit the model: {len(differing)} tensors differ, as {differing[0]}")
