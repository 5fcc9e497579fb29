"""Published parameter counts on ViT-B/16 and ViT-S/16, without the head."""

import pytest
import timm
import torch

from sparsebench.models.adapters import BottleneckConfig, LoRAConfig, attach
from sparsebench.models.adapters.config import AdapterConfig
from sparsebench.models.adapters.kinds.convpass import ConvpassConfig
from sparsebench.models.adapters.kinds.gist_token import GistTokenConfig
from sparsebench.models.adapters.kinds.parameter_tuning import BitFitConfig, NormTuningConfig
from sparsebench.models.adapters.kinds.prompts import PromptConfig
from sparsebench.models.adapters.kinds.rep_adapter import RepAdapterConfig
from sparsebench.models.adapters.kinds.shared_parallel import StreamConfig
from sparsebench.models.adapters.kinds.ssf import SSFConfig
from sparsebench.models.adapters.presets import preset
from sparsebench.models.counting import count_parameters

CASES: list[tuple[str, str, AdapterConfig, int]] = [
    ("Adapter r=4", "base", BottleneckConfig(r=4), 82_992),
    ("Adapter r=8", "base", BottleneckConfig(r=8), 156_768),
    ("Adapter r=64", "base", BottleneckConfig(r=64), 1_189_632),
    ("parallel r=64", "base", BottleneckConfig(r=64, placement="parallel"), 1_189_632),
    ("AdaptFormer r=64", "base", preset("adaptformer"), 1_189_632),
    ("Adapter without bias r=64", "base", BottleneckConfig(r=64, bias=False), 12 * 2 * 768 * 64),
    ("Houlsby r=64", "base", BottleneckConfig(r=64, placement="houlsby"), 2 * 1_189_632),
    ("inner norm r=64", "base", BottleneckConfig(r=64, norm="in"), 1_189_632 + 12 * 2 * 768),
    ("learned scale r=64", "base", BottleneckConfig(r=64, scale="learned"), 1_189_632 + 12),
    ("Adapter r=1024", "base", BottleneckConfig(r=1024), 12 * (2 * 768 * 1024 + 1024 + 768)),
    ("Houlsby as released", "base", preset("houlsby", faithful=True), 2 * (1_189_632 + 12 * 2 * 768)),
    ("Pfeiffer r=48", "base", preset("pfeiffer", r=48), 12 * (2 * 768 * 48 + 48 + 768)),
    ("without bias r=8", "base", BottleneckConfig(r=8, placement="parallel", bias=False), 147_456),
    ("without bias r=32", "base", StreamConfig(r=32, placement="ffn", bias=False), 589_824),
    ("Bi-AdaptFormer r=32", "base", preset("bi_adaptformer"), 589_824),
    ("shared-parallel r=4", "base", preset("idat_shared_parallel"), 82_992),
    ("sequential r=4", "base", preset("idat_sequential"), 82_992),
    ("LoRA q, v r=8", "base", LoRAConfig(r=8), 294_912),
    ("LoRA q, k, v r=8", "base", LoRAConfig(r=8, targets=("q", "k", "v")), 442_368),
    ("BitFit", "base", BitFitConfig(), 102_912),
    ("LayerNorm tuning", "base", NormTuningConfig(), 38_400),
    ("SSF", "base", preset("ssf"), 205_824),
    ("FacT-TT r=16", "base", preset("fact"), 61_440),
    ("RepAdapter r=8 g=2", "base", preset("rep_adapter"), 239_808),
    ("Convpass r=8", "base", preset("convpass"), 327_552),
    ("Convpass on attention r=8", "base", ConvpassConfig(r=8, parts=("attention",)), 163_776),
    ("Adapter+ r=8", "base", preset("adapter_plus"), 165_984),
    ("Adapter+ r=16", "base", preset("adapter_plus", r=16), 313_536),
    ("VPT-shallow p=100", "base", PromptConfig(length=100, depth="shallow"), 76_800),
    ("VPT-deep p=50", "base", PromptConfig(length=50, depth="deep"), 460_800),
    ("GIST token", "base", GistTokenConfig(), 768),
    ("Adapter r=4", "small", BottleneckConfig(r=4), 41_520),
    ("Adapter r=8", "small", BottleneckConfig(r=8), 78_432),
    ("Adapter r=8, 3 blocks", "small", BottleneckConfig(r=8, blocks=3), 78_432 // 4),
    ("shared-parallel r=4", "small", StreamConfig(r=4), 41_520),
    ("shared-parallel r=8", "small", StreamConfig(r=8), 78_432),
    ("BitFit", "small", BitFitConfig(), 12 * 11 * 384 + 2 * 384),
    ("SSF", "small", SSFConfig(), 12 * 2 * 11 * 384 + 4 * 384),
]


@pytest.mark.parametrize(("name", "size", "config", "count"), CASES, ids=[f"{c[0]} {c[1]}" for c in CASES])
def test_published_counts(name: str, size: str, config: AdapterConfig, count: int) -> None:
    with torch.device("meta"):
        model = timm.create_model(f"vit_{size}_patch16_224", num_classes=10)
    adapters = attach(model, config)
    head = (model.embed_dim + 1) * 10
    assert adapters.count() == count, name
    assert adapters.count(head=True) == count + head == count_parameters(model).trainable


def test_weights_of_rep_adapter() -> None:
    """The published figure without biases: 12 blocks of two adapters of d r + d r / 2."""
    with torch.device("meta"):
        model = timm.create_model("vit_base_patch16_224")
    adapters = attach(model, RepAdapterConfig(r=8, groups=2))
    assert sum(weight.numel() for weight in adapters.weights().values()) == 221_184


def test_counts_on_a_convolutional_network() -> None:
    """SSF: twice the channels of all convolutions and of their norms. BitFit: once those of the norms."""
    model = timm.create_model("tf_efficientnet_lite0", num_classes=3)
    channels = [module.out_channels for module in model.modules() if isinstance(module, torch.nn.Conv2d)]
    assert len(channels) == 49
    assert attach(model, SSFConfig(), "ssf").count() == 4 * sum(channels)
    assert attach(model, BitFitConfig(), "bitfit").count() == sum(channels)
