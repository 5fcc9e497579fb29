"""A timm network as the body of a vision task: one fixed resize, the network's own normalisation, pooled features."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.transforms.v2.functional import InterpolationMode

from sparsebench.data.vision.vtab1k.resizing import resized
from sparsebench.models.anatomy import Anatomy, describe, register_describer
from sparsebench.models.attention.fast_attention import use_product_attention

from ..prediction.feature_extractor import FeatureExtractor


@runtime_checkable
class StoredImages(Protocol):
    """Raw images that lie on the disk."""

    def decoded(self, size: int, interpolation: str) -> Sequence[Tensor] | None:
        """They as `encode` would make them, uint8 (3, size, size), where somebody has done so before."""

    def kept(self) -> list[np.ndarray] | None:
        """All of them in memory, where they are few; None where each is to be read when it is asked for."""


class VisionBody(FeatureExtractor):
    """Images uint8 (N, H, W, C) -> features (N, width) of a timm network that was built with `num_classes=0`.

    Published VTAB numbers come from several protocols; this one, for every network and task: resize to exactly
    size x size (aspect ratio squashed, no crop) with antialiasing and the network's own interpolation, rounded to
    uint8; mean and standard deviation of the network's timm config (0.5 for EfficientNet-Lite and AugReg ViTs, as
    in iDAT, SSF and Adapter+; NOAH, FacT and Convpass take ImageNet's); no augmentation; a grey image fills all three
    channels.
    """

    unit = "image"
    alike = True
    mean: Tensor
    std: Tensor

    def __init__(self, network: Any, size: int | None = None, prepared_as: str = "") -> None:
        """`prepared_as` says where size and normalisation come from, if not from the network and its user."""
        super().__init__()
        config = network.pretrained_cfg
        self.prepared_as = prepared_as
        self.network = network.to(memory_format=torch.channels_last)
        if _attends(network):
            use_product_attention(network)  # the same function, faster where bfloat16 trains on a processor
        self.width = network.head_hidden_size
        self.size = size or config["input_size"][-1]
        smooth = config["interpolation"] == "bilinear"
        self.interpolation = InterpolationMode.BILINEAR if smooth else InterpolationMode.BICUBIC
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(config[name]).view(3, 1, 1) * 255, persistent=False)

    def encode(self, raw: Sequence[Any]) -> Sequence[Tensor]:
        """Resized images, uint8 (3, size, size): at once for an array or a list, one by one for a lazy sequence."""
        if isinstance(raw, np.ndarray):
            return list(self._resized(raw))
        if isinstance(raw, StoredImages):
            found = raw.decoded(self.size, self.interpolation.value)
            if found is not None:
                return found
            raw = raw.kept() or raw
        if isinstance(raw, list):
            return [self._resized(image[None])[0] for image in raw]
        return LazyImages(self, raw)

    def collate(self, items: list[Tensor]) -> Tensor:
        """Normalised floats (B, 3, size, size), channels last in memory, on the body's device.

        Bytes travel there, a quarter of what floats would be.
        """
        batch = torch.stack(items).to(self.mean.device).contiguous(memory_format=torch.channels_last)
        return (batch - self.mean) / self.std

    def forward(self, inputs: Tensor) -> Tensor:
        """Pooled features of shape (B, width)."""
        for stage in self.stages():
            inputs = stage(inputs)
        return inputs

    def stages(self) -> Sequence[Callable[[Any], Any]]:
        """Stem, blocks and pooling of an EfficientNet, a MobileNet or a plain ViT; any other network is one stage."""
        from timm.models import EfficientNet, MobileNetV3, VisionTransformer

        network = self.network
        features = type(network).forward_features
        if features is VisionTransformer.forward_features:
            return (self._embed, *network.blocks, network.norm, self._pool)
        if features is EfficientNet.forward_features:
            stem = _chain(network.conv_stem, network.bn1)
            return (stem, *_units(network), _chain(network.conv_head, network.bn2), self._pool)
        if features is MobileNetV3.forward_features:
            return (_chain(network.conv_stem, network.bn1), *_units(network), self._pool)
        return (network,)

    def _embed(self, inputs: Tensor) -> Tensor:
        network = self.network
        return network.norm_pre(network.patch_drop(network._pos_embed(network.patch_embed(inputs))))

    def _pool(self, hidden: Tensor) -> Tensor:
        return self.network.forward_head(hidden)

    def _resized(self, images: np.ndarray) -> Tensor:
        return resized(images, self.size, self.interpolation.value)


class LazyImages(Sequence[Tensor]):
    """Images that are read and resized when they are asked for."""

    def __init__(self, body: VisionBody, raw: Sequence[Any]) -> None:
        self.body = body
        self.raw = raw

    def __len__(self) -> int:
        return len(self.raw)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return LazyImages(self.body, self.raw[index])
        return self.body._resized(self.raw[index][None])[0]


def _attends(network: nn.Module) -> bool:
    """Whether a network has timm's plain attention; windows and other kinds keep their own."""
    from timm.layers.attention import Attention

    return any(isinstance(module, Attention) for module in network.modules())


def _units(network: Any) -> list[nn.Module]:
    """The residual units of all stages of a CNN."""
    units: list[nn.Module] = []
    for stage in network.blocks:
        units.extend(stage)
    return units


def _chain(*modules: nn.Module) -> Callable[[Any], Any]:
    def run(inputs: Any) -> Any:
        for module in modules:
            inputs = module(inputs)
        return inputs

    return run


def describe_body(body: Any) -> Anatomy:
    """The anatomy of a `VisionBody`: that of the network inside."""
    return replace(describe(body.network), model=body)


register_describer(VisionBody, describe_body)
