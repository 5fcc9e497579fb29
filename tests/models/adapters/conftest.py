"""More tiny models, and noise for adapters."""

from collections.abc import Callable, Iterable

import pytest
import timm
import torch
import transformers
from torch import nn

from sparsebench.models.adapters import AdapterSet

from ..conftest import ENCODER, TEXT, built_once
from ..oracles.oracle import rounding

NEAR = rounding(products=24, terms=64)
"""What float32 makes of the same numbers added up in another order: two layers of at most twelve products each."""


def vit(name: str = "vit_tiny_patch16_224", **options: object) -> nn.Module:
    """A tiny ViT of timm in eval mode."""
    defaults = {"img_size": 32, "embed_dim": 32, "depth": 2, "num_heads": 4, "num_classes": 3}
    return timm.create_model(name, **(defaults | options)).eval()


def hf_vit(**options: object) -> nn.Module:
    """A tiny ViT of transformers with 4 d hidden units."""
    sizes = ENCODER | {"intermediate_size": 128, "image_size": 16, "patch_size": 8, "num_labels": 3}
    return transformers.ViTForImageClassification(transformers.ViTConfig(**(sizes | options))).eval()


def wide_bert() -> nn.Module:
    """A BERT whose FFN is twice as wide as the model."""
    config = transformers.BertConfig(**(ENCODER | {"intermediate_size": 64}), **TEXT)
    return transformers.BertForSequenceClassification(config).eval()


EXTRA: dict[str, Callable[[], nn.Module]] = {
    "wide_bert": wide_bert,
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


def noise(parameters: Iterable[nn.Parameter], size: float = 0.2, seed: int = 3) -> None:
    """Moves each parameter."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in parameters:
        drawn = torch.randn(parameter.shape, generator=generator).to(parameter.dtype)
        parameter.data.add_(drawn, alpha=size)


def shaken(adapters: AdapterSet, size: float = 0.1, seed: int = 0) -> AdapterSet:
    """Noise on every parameter but the head's, so that no adapter is without effect."""
    noise(dict.fromkeys(p for _, layer in adapters.layers() for _, p in layer.adapter_parameters()), size, seed)
    return adapters


@pytest.fixture(scope="session")
def shake() -> Callable[..., AdapterSet]:
    """`shake(adapters)`: add noise to the parameters of a set, without the head."""
    return shaken
