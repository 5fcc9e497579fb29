"""Configuration of a dense to mixture-of-experts conversion of the attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ...errors import ModelError, check_choice
from ..routing.config import RoutingConfig, Score

Mode = Literal["drop_kv", "keep_kv"]
Scale = Literal["paper", "norm", "exact"]
RouterInit = Literal["random", "zeros"]


@dataclass(frozen=True, kw_only=True)
class AttnMoEConfig(RoutingConfig):
    """How to cut the heads of an attention layer into experts, and how tokens are routed to them.

    An expert is `num_heads / num_experts` query heads with the key/value heads they use and their columns of the output
    projection. With as many experts as key/value heads it is one grouped-query group (LLaMA-MoE v2, arXiv 2411.15708);
    with a multiple of them the query heads of a group are dealt out and its key and value heads are copied; with fewer
    an expert holds several groups. The output is s * sum of g_i A_i(x) over the k = top_k chosen experts.

    The other fields are those of `RoutingConfig`, but for `densemixer`: an expert computes nothing of a token that is
    not routed to it, so that there is no dense mixture of heads.

    Attributes:
        num_experts: experts of a layer.
        top_k: experts that a token chooses.
        mode: "drop_kv" (LLaMA-MoE v2): an expert computes queries, keys and values of the tokens routed to it and
            attends among these alone, at their original positions, so later tokens cannot see an unrouted token there.
            "keep_kv" (as in MoH, arXiv 2410.11842): every expert keeps the keys and values of all tokens; only queries
            and outputs are routed.
        score: as in `RoutingConfig`.
        scale: as in `RoutingConfig`, but there is nothing to calibrate. Only "exact" gives back the dense layer for k =
            num_experts. The released script of LLaMA-MoE v2 sets 4.0 for 7 of 8.
        router_init: "random" or "zeros"; the router is linear and sees the input of the attention (after its norm).
        seed: of the router, for `convert_attention` without a generator (`convert` goes on with that of the FFNs).

    Raises:
        ModelError: a value that cannot work.
    """

    num_experts: int = 8
    top_k: int = 7
    mode: Mode = "drop_kv"
    score: Score = "softmax_topk"
    scale: Scale | float = "exact"
    router_init: RouterInit = "random"
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice("mode", self.mode, get_args(Mode))
        check_choice("router_init", self.router_init, get_args(RouterInit))
        if isinstance(self.scale, str):
            check_choice("scale", self.scale, get_args(Scale))
        super().__post_init__()
        if self.densemixer:
            raise ModelError("densemixer is for the experts of FFNs (`MoEConfig`), not for those of the attention")
