"""More tiny models, and noise for adapters."""

from collections.abc import Callable

import pytest
import timm
import torch
import transformers
from torch import nn

from sparsebench.models.adapters import AdapterSet

from ..conftest import built_once


def vit(**options: object) -> nn.Module:
    """A tiny ViT of timm in eval mode."""
    defaults = {"img_size": 32, "embed_dim": 32, "depth": 2, "num_heads": 4, "num_classes": 3}
    return timm.create_model("vit_tiny_patch16_224", **(defaults | options)).eval()


def hf_vit() -> nn.Module:
    """A tiny ViT of transformers with 4 d hidden units."""
    config = transformers.ViTConfig(
        hidden_size=32,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=16,
        patch_size=8,
        num_labels=3,
    )
    return transformers.ViTForImageClassification(config).eval()


EXTRA: dict[str, Callable[[], nn.Module]] = {
    "vit_4d": hf_vit,
    "no_class_token": lambda: vit(class_token=False, global_pool="avg"),
    "registers": lambda: vit(reg_tokens=2),
    "layer_scale": lambda: vit(init_values=0.5),
    "efficientnet_b0": lambda: timm.create_model("efficientnet_b0", num_classes=3).eval(),
}


@pytest.fixture(scope="session")
def make(build: Callable[[str], nn.Module]) -> Callable[[str], nn.Module]:
    """`make("registers")`: a model of `EXTRA`, or of `build`, the same weights at each call."""

    build_extra = built_once(EXTRA)
    return lambda family: build_extra(family) if family in EXTRA else build(family)


@pytest.fixture(scope="session")
def shake() -> Callable[..., None]:
    """`shake(adapters)`: add noise to the parameters of a set, without the head."""

    def shake(adapters: AdapterSet, size: float = 0.1) -> None:
        generator = torch.Generator().manual_seed(0)
        for parameter in dict.fromkeys(p for _, layer in adapters.layers() for _, p in layer.adapter_parameters()):
            noise = torch.randn(parameter.shape, generator=generator).to(parameter.dtype)
            parameter.data.add_(noise, alpha=size)

    return shake
