"""Tiny models with random weights, of every family, and an input for each."""

import copy
from collections.abc import Callable, Mapping
from functools import partial

import pytest
import timm
import torch
import transformers
from timm.models._efficientnet_builder import decode_arch_def, round_channels
from timm.models.efficientnet import EfficientNet
from torch import Tensor, nn

DECODER = {
    "hidden_size": 32,
    "intermediate_size": 50,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 64,
    "head_dim": 8,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
MIXTURE = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
ENCODER = {
    "hidden_size": 32,
    "intermediate_size": 50,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "hidden_dropout_prob": 0.1,
}
TEXT = {"vocab_size": 64, "max_position_embeddings": 40}


def _decoder(family: str, **extra: object) -> nn.Module:
    config = getattr(transformers, f"{family}Config")(**(DECODER | extra))
    return getattr(transformers, f"{family}ForCausalLM")(config)


def _timm_vit() -> nn.Module:
    return timm.create_model("vit_tiny_patch16_224", img_size=32, embed_dim=32, depth=2, num_heads=4, num_classes=3)


LITE0 = [
    ["ds_r1_k3_s1_e1_c16"],
    ["ir_r2_k3_s2_e6_c24"],
    ["ir_r2_k5_s2_e6_c40"],
    ["ir_r3_k3_s2_e6_c80"],
    ["ir_r3_k5_s1_e6_c112"],
    ["ir_r4_k5_s2_e6_c192"],
    ["ir_r1_k3_s1_e6_c320"],
]


def _efficientnet() -> nn.Module:
    """All layers of EfficientNet-Lite0, with a quarter of the channels."""
    return EfficientNet(
        decode_arch_def(LITE0),
        num_classes=3,
        num_features=64,
        stem_size=8,
        round_chs_fn=partial(round_channels, multiplier=0.25),
        act_layer=nn.ReLU6,
        pad_type="same",
    )


FAMILIES: dict[str, Callable[[], nn.Module]] = {
    "llama": lambda: _decoder("Llama"),
    "mistral": lambda: _decoder("Mistral"),
    "qwen2": lambda: _decoder("Qwen2"),
    "qwen3": lambda: _decoder("Qwen3"),
    "bert": lambda: transformers.BertForSequenceClassification(transformers.BertConfig(**ENCODER, **TEXT)),
    "roberta": lambda: transformers.RobertaForSequenceClassification(transformers.RobertaConfig(**ENCODER, **TEXT)),
    "vit": lambda: transformers.ViTForImageClassification(
        transformers.ViTConfig(**ENCODER, image_size=16, patch_size=8, num_labels=3)
    ),
    "timm_vit": _timm_vit,
    # The default experts kernel of transformers needs rows of a multiple of 16 bytes.
    "mixtral": lambda: _decoder("Mixtral", num_local_experts=4, num_experts_per_tok=2, intermediate_size=48),
    "olmoe": lambda: _decoder("Olmoe", num_experts=4, num_experts_per_tok=2),
    "qwen2_moe": lambda: _decoder("Qwen2Moe", **MIXTURE, shared_expert_intermediate_size=16),
    "qwen3_moe": lambda: _decoder("Qwen3Moe", **MIXTURE),
    "efficientnet": _efficientnet,
}


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tiny products are faster, and bit-reproducible, on one thread."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def build() -> Callable[[str], nn.Module]:
    """`build("llama")`: a tiny model in eval mode, the same weights at each call."""
    return built_once(FAMILIES)


def built_once(families: Mapping[str, Callable[[], nn.Module]]) -> Callable[[str], nn.Module]:
    """Builds the model of a name, the first time; each call gives a copy of it."""
    built: dict[str, nn.Module] = {}

    def build(family: str) -> nn.Module:
        if family not in built:
            with torch.random.fork_rng():
                torch.manual_seed(0)
                built[family] = families[family]().eval()
        return copy.deepcopy(built[family])

    return build


@pytest.fixture(scope="session")
def example() -> Callable[..., Tensor]:
    """`example(model)`: a batch of two inputs for a tiny model."""

    def example(model: nn.Module, seed: int = 0) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        if "EfficientNet" in type(model).__name__ or "timm" in type(model).__module__:
            return torch.randn(2, 3, 32, 32, generator=generator)
        if "Image" in type(model).__name__:
            return torch.randn(2, 3, 16, 16, generator=generator)
        return torch.randint(3, 64, (2, 7), generator=generator)

    return example


@pytest.fixture(scope="session")
def run() -> Callable[[nn.Module, Tensor], Tensor]:
    """`run(model, batch)`: logits without gradients."""

    def run(model: nn.Module, batch: Tensor) -> Tensor:
        dtype = next(model.parameters()).dtype
        with torch.no_grad():
            result = model(batch.to(dtype) if batch.is_floating_point() else batch)
        return result if isinstance(result, Tensor) else result.logits

    return run
