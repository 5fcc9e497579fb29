"""Small mixtures of every layout that Expert Trimming takes, with batches that hold padding, and their statistics."""

from dataclasses import replace
from typing import Any

import timm
import torch
from torch import Tensor, nn

from sparsebench.models.anatomy import Experts, describe
from sparsebench.models.calibration.mixture_statistics import LayerStatistics, mixture_statistics
from sparsebench.models.moe import MoEConfig, convert

from ....graphsgpt.model_cases import batch as molecules
from ....graphsgpt.model_cases import small as graphsgpt
from ....zoo.text_families import MIXTURES, build, padded_inputs

CASES = (*MIXTURES, "converted", "vit", "graphsgpt")
OURS = MoEConfig(num_experts=8, num_shared=2, top_k=2, score="softmax_topk")


def model_of(case: str) -> Any:
    """A model in float64 and eval mode, the same weights at each call; six routed experts a mixture."""
    if case in MIXTURES:
        return build(case, MIXTURES[case].names()[1])
    if case == "converted":
        return convert(build("Phi3", "Phi3ForCausalLM"), replace(OURS, num_experts=11, num_shared=5))
    if case == "graphsgpt":
        return convert(graphsgpt(encoder_ids="canonical").double(), OURS)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vit = timm.create_model("vit_tiny_patch16_224", img_size=32, embed_dim=32, depth=2, num_heads=4, num_classes=3)
    return convert(vit.double().eval(), OURS)


def batches_of(case: str, model: Any) -> list[Any]:
    """Two batches."""
    if case == "graphsgpt":
        return [molecules(), molecules(["CCO", "C1CC1"])]
    if case == "vit":
        generator = torch.Generator().manual_seed(0)
        return [torch.randn(2, 3, 32, 32, generator=generator, dtype=torch.float64) for _ in range(2)]
    inputs = padded_inputs(model)
    return [inputs, {**inputs, "input_ids": inputs["input_ids"].flip(1).clamp_max(29) + 1}]


def statistics_of(case: str, model: Any, **asked: bool) -> list[LayerStatistics]:
    """Those on the batches."""
    return mixture_statistics(model, batches_of(case, model), **asked)


@torch.no_grad()
def outputs(case: str, model: Any) -> Tensor:
    """What the model gives for the first batch, real tokens only."""
    inputs = batches_of(case, model)[0]
    if case == "graphsgpt":
        return model(inputs).words
    if case == "vit":
        return model(inputs)
    return model(**inputs).logits[inputs["attention_mask"].bool()]


def experts_of(model: nn.Module) -> list[Experts]:
    """The experts of each mixture."""
    mlps = [block.mlp for block in describe(model).blocks if block.mlp is not None]
    return [mlp.experts for mlp in mlps if mlp.experts is not None]
