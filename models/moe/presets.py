"""Settings of the published models, by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from ..errors import check_choice
from .attention.config import AttnMoEConfig
from .config import MoEConfig


def preset(name: str, *, faithful: bool = False, **changes: object) -> MoEConfig:
    """The configuration of a published model.

    Args:
        name: one of `PRESETS`.
        faithful: reproduce what the authors' code does where it departs from what it means to do; the description of
            each preset says what that is. The default corrects it.
        changes: other values of the configuration's fields.

    Returns:
        The configuration, for `convert`.

    Raises:
        ModelError: an unknown name or value.
    """
    check_choice("preset", name, tuple(PRESETS))
    return dataclasses.replace(PRESETS[name](faithful), **changes)


def llama_moe_v1_4of16(faithful: bool) -> MoEConfig:
    """LLaMA-MoE-3.5B, 4 of 16 experts (arXiv 2406.16554): random split, noisy tanh MLP router, scale N/k = 4.

    The chosen weights are a softmax of the k best noisy logits. Balance: CV^2 of importance and load, 0.01.
    Faithful: the smooth load takes its threshold by the noise alone, so that loads no longer sum to k per token.
    """
    return MoEConfig(
        num_experts=16,
        top_k=4,
        split="random",
        router="mlp",
        router_init="random",
        score="topk_softmax",
        noise="shazeer",
        scale="paper",
        balance="cv2",
        balance_coef=1e-2,
        faithful=faithful,
    )


def llama_moe_v1_2of8(faithful: bool) -> MoEConfig:
    """LLaMA-MoE-3.5B, 2 of 8 experts, scale 4; otherwise (and faithful) as `llama_moe_v1_4of16`."""
    return dataclasses.replace(llama_moe_v1_4of16(faithful), num_experts=8, top_k=2)


def llama_moe_v1_2of16(faithful: bool) -> MoEConfig:
    """LLaMA-MoE-3.0B, 2 of 16 experts, scale 8; otherwise (and faithful) as `llama_moe_v1_4of16`."""
    return dataclasses.replace(llama_moe_v1_4of16(faithful), top_k=2)


def v1_residual_14p2(faithful: bool) -> MoEConfig:
    """LLaMA-MoE v1's Sharing-Inter: 2 shared blocks of 16 and 2 of the other 14, exclusive, by gradient importance.

    Importance is per cluster of documents. Scale 2, as in the released training script (its checkpoint with exclusive
    experts; `overlap=True` gives the other). The shared blocks are added unweighted, where the release trains a gate
    over them that starts at coefficient 1. Faithful: as `llama_moe_v1_4of16`.
    """
    return dataclasses.replace(
        llama_moe_v1_4of16(faithful),
        num_shared=2,
        top_k=2,
        split="residual",
        importance="gradient",
        clusters="documents",
        scale=2.0,
    )


def llama_moe_v2_8top2(faithful: bool) -> MoEConfig:
    """LLaMA-MoE v2, 2 of 8 experts (arXiv 2411.15708): neurons in their order, random linear router, scale 4.

    Softmax over all experts, the best two divided by their sum. Balance: Switch-type, 0.01. Router rows are N(0, 0.02)
    where the release draws them uniformly with about half that standard deviation. Faithful: the balance loss is the
    constant N/k with gradient 0, since its softmax runs over the chosen logits.
    """
    return MoEConfig(
        num_experts=8,
        top_k=2,
        split="sequential",
        router="linear",
        router_init="random",
        score="softmax_topk",
        renorm=True,
        scale="paper",
        balance="switch",
        balance_coef=1e-2,
        faithful=faithful,
    )


def v2_1p7top1(faithful: bool) -> MoEConfig:
    """LLaMA-MoE v2's residual model: 1 shared block and 1 of 7 experts, scale 1, gradient importance.

    Experts follow clusters of FFN inputs (balanced k-means), whose centroids are the router's rows. Faithful: the
    renormalised weight of the single expert is 1 with gradient 0 and the balance loss is a constant, so the router
    stays where it started. Default: the weight is 1 too, but its gradient is that of the probability
    (straight-through), and the balance loss works.
    """
    return dataclasses.replace(
        llama_moe_v2_8top2(faithful),
        num_shared=1,
        top_k=1,
        split="residual",
        importance="gradient",
        clusters="tokens",
        router_init="centroids",
        scale=1.0,
        straight_through=not faithful,
    )


def v2_attn_7of8(faithful: bool) -> MoEConfig:
    """LLaMA-MoE v2 with attention experts: `llama_moe_v2_8top2`, and 7 of 8 groups of attention heads per token.

    Keys and values exist for routed tokens only. Default: attention scale 7, so that the mean coefficient of a chosen
    group is 1 (with 8 of 8 the attention is the dense one). Faithful: scale 4, the script's, which shrinks the
    attention output to 4/7, and the constant balance losses.
    """
    attn = AttnMoEConfig(
        num_experts=8,
        top_k=7,
        mode="drop_kv",
        score="softmax_topk",
        renorm=True,
        scale=4.0 if faithful else "exact",
        balance="switch",
        balance_coef=1e-2,
        faithful=faithful,
    )
    return dataclasses.replace(llama_moe_v2_8top2(faithful), attn=attn)


def cmoe_3p1of8(faithful: bool) -> MoEConfig:
    """CMoE (arXiv 2502.04416), training-free: 3 of 8 blocks shared, the most often active; 1 of the other 5 routed.

    Experts group neurons that are active together; an expert's logit is the activation of its most typical neuron, and
    chosen experts keep their dense coefficient. Faithful: no difference.
    """
    return MoEConfig(
        num_experts=8,
        num_shared=3,
        top_k=1,
        split="cmoe",
        router="glu",
        router_init="analytic",
        score="none",
        scale="exact",
        faithful=faithful,
    )


PRESETS: dict[str, Callable[[bool], MoEConfig]] = {
    make.__name__: make
    for make in (
        llama_moe_v1_4of16,
        llama_moe_v1_2of8,
        llama_moe_v1_2of16,
        v1_residual_14p2,
        llama_moe_v2_8top2,
        v2_1p7top1,
        v2_attn_7of8,
        cmoe_3p1of8,
    )
}
"""Makers of the presets, each called with `faithful`."""
