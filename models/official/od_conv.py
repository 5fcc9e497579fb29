"""ODConv (arXiv 2209.07947): ResNets and MobileNetV2 whose convolutions have attentions along all four dimensions.

A file holds one state, under names with or without `module.`. Each convolution but the stem and those of shortcuts is

    weight (K, O, I / groups, h, w)
    attention.fc.weight (R, I, 1, 1), attention.bn.*
    attention.{channel,filter,spatial,kernel}_fc.{weight,bias}, those of them that it has

in networks that are built and named like timm's (ResNets) or torchvision's (MobileNetV2).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ..dynamic import ConvConfig, dynamic_layers, make_dynamic
from ..errors import ModelError, optional
from ..hub.own_folders import state_of
from .checkpoint import Built, Checkpoint, Place
from .recognition import OD_CONV_MARK as MARK

RESNETS: dict[tuple[bool, tuple[int, ...]], str] = {
    (False, (2, 2, 2, 2)): "resnet18",
    (False, (3, 4, 6, 3)): "resnet34",
    (True, (3, 4, 6, 3)): "resnet50",
    (True, (3, 4, 23, 3)): "resnet101",
}
"""By whether a block has three convolutions, and by the blocks of each stage."""
MOBILENETS = {16: "mobilenetv2_050", 24: "mobilenetv2_075", 32: "mobilenetv2_100"}
"""By the channels of the stem."""
SEPARABLE = {"conv_dw": "0.0", "bn1": "0.1", "conv_pw": "1", "bn2": "2"}
INVERTED = {"conv_pw": "0.0", "bn1": "0.1", "conv_dw": "1.0", "bn2": "1.1", "conv_pwl": "2", "bn3": "3"}
"""Parts of a MobileNetV2's first block, and of all others, by timm's names."""
PARTS = {
    "bank": "weight",
    "attention.squeeze": "attention.fc",
    "attention.norm": "attention.bn",
    "attention.inputs.fc": "attention.channel_fc",
    "attention.outputs.fc": "attention.filter_fc",
    "attention.taps.fc": "attention.spatial_fc",
    "attention.kernels": "attention.kernel_fc",
}
"""Our and official names within a convolution."""
UNKNOWN = (
    "the temperature of its attentions: 1, with which the official code evaluates whatever it reads; a state of the "
    "first epochs (10 by default) was trained with more, which `anneal(model, temperature)` sets",
    "the dropout before its head: none",
)


def build(checkpoint: Checkpoint) -> Built:
    """A timm network made dynamic.

    Args:
        checkpoint: in this layout.

    Returns:
        The model.

    Raises:
        ModelError: it is not whole, or none of the published architectures.
    """
    model = empty_model(checkpoint)
    made = {name: torch.tensor(1.0) for name in state_of(model) if name.endswith(".temperature")}
    checkpoint.fill(model, places(model, _wrapper(checkpoint)), made)
    return Built(model.eval(), UNKNOWN)


def empty_model(checkpoint: Checkpoint) -> nn.Module:
    """The model of a checkpoint, without memory for its tensors.

    Args:
        checkpoint: whose names and shapes say what it is.

    Returns:
        The model, on the meta device.

    Raises:
        ModelError: none of the published architectures has such blocks.
    """
    with optional():
        import timm

    wrapper = _wrapper(checkpoint)
    if f"{wrapper}fc.weight" in checkpoint:
        architecture = _resnet(checkpoint, wrapper)
        head = checkpoint.take(f"{wrapper}fc.weight")
    else:
        architecture = _mobilenet(checkpoint, wrapper)
        head = checkpoint.take(f"{wrapper}classifier.1.weight")
    kernels, reduction = _kernels(checkpoint)
    config = ConvConfig(kind="od_conv", num_kernels=kernels, reduction=reduction, temperature=1.0, shortcuts=False)
    with torch.device("meta"):
        return make_dynamic(timm.create_model(architecture, num_classes=len(head)), config)


def places(model: nn.Module, wrapper: str = "") -> dict[str, Place]:
    """Where the tensors of a model come from, by our names; temperatures come from nowhere.

    Args:
        model: what `empty_model` gives.
        wrapper: what official names begin with.
    """
    renamed = _mobilenet_names(model) if hasattr(model, "blocks") else {}
    layers = dynamic_layers(model)
    found: dict[str, Place] = {}
    for ours, tensor in state_of(model).items():
        layer = next((name for name in layers if ours.startswith(f"{name}.")), None)
        module, _, leaf = ours.rpartition(".")
        if leaf == "temperature":
            continue
        if layer is None:
            found[ours] = Place(f"{wrapper}{renamed.get(module, module)}.{leaf}", tuple(tensor.shape))
            continue
        inside = ours.removeprefix(f"{layer}.")
        part = next(name for name in PARTS if inside.startswith(name))
        shape = (*tensor.shape, 1, 1) if tensor.dim() == 2 else tuple(tensor.shape)
        found[ours] = Place(f"{wrapper}{renamed.get(layer, layer)}.{PARTS[part]}{inside.removeprefix(part)}", shape)
    return found


def _wrapper(checkpoint: Checkpoint) -> str:
    """What names begin with where the network was saved in its wrapper for several devices."""
    wrapped = checkpoint.names("module.")
    return "module." if len(wrapped) == len(checkpoint.names()) else ""


def _resnet(checkpoint: Checkpoint, wrapper: str) -> str:
    """Its name in timm."""
    stages: list[int] = []
    for stage in range(1, 5):
        firsts = [name for name in checkpoint.names(f"{wrapper}layer{stage}.") if name.endswith(".conv1.weight")]
        stages.append(len(firsts))
    bottleneck = f"{wrapper}layer1.0.conv3.weight" in checkpoint
    if (bottleneck, tuple(stages)) not in RESNETS:
        raise ModelError(
            f"{checkpoint.place} is a ResNet of {stages} blocks; the official code has {', '.join(RESNETS.values())}"
        )
    return RESNETS[bottleneck, tuple(stages)]


def _mobilenet(checkpoint: Checkpoint, wrapper: str) -> str:
    """Its name in timm."""
    stem = checkpoint.take(f"{wrapper}features.0.0.weight")
    if len(stem) not in MOBILENETS:
        raise ModelError(
            f"{checkpoint.place} is a MobileNetV2 that begins with {len(stem)} channels; the official code has "
            f"{', '.join(MOBILENETS.values())}"
        )
    return MOBILENETS[len(stem)]


def _mobilenet_names(model: Any) -> dict[str, str]:
    """Official names of modules by timm's."""
    blocks = [
        (f"blocks.{stage}.{place}", block) for stage, row in enumerate(model.blocks) for place, block in enumerate(row)
    ]
    found = {"conv_stem": "features.0.0", "bn1": "features.0.1", "classifier": "classifier.1"}
    for number, (name, block) in enumerate(blocks, start=1):
        parts = INVERTED if hasattr(block, "conv_pwl") else SEPARABLE
        found |= {f"{name}.{ours}": f"features.{number}.conv.{official}" for ours, official in parts.items()}
    last = f"features.{len(blocks) + 1}"
    return found | {"conv_head": f"{last}.0", "bn2": f"{last}.1"}


def _kernels(checkpoint: Checkpoint) -> tuple[int, int]:
    """K, and what the channels of the widest convolution are divided by for the hidden units of its attention."""
    stems = [name.removesuffix(MARK) for name in checkpoint.names() if name.endswith(MARK)]
    kernels = checkpoint.take(f"{stems[0]}.weight").shape[0]
    hidden = [tuple(checkpoint.take(f"{stem}.attention.fc.weight").shape[:2]) for stem in stems]
    units, channels = max(hidden, key=lambda shape: shape[1])
    return kernels, channels // units
