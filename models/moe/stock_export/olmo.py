"""FlexOlmo: the mixture of OLMo 2, whose norms come after attention and experts, and over all heads together."""

from __future__ import annotations

from typing import Any

from .features import ATTENTION_BIAS, COMMON, POST_NORMS, UNNORMALISED, WIDE_QK_NORM
from .source import Source
from .stock import Reach, Stock, Widths, experts

_NEEDS = frozenset({POST_NORMS, WIDE_QK_NORM})
_HAS = _NEEDS | COMMON | {UNNORMALISED, ATTENTION_BIAS}
_ALL = Reach(_HAS, needs=_NEEDS)


def _config(source: Source, widths: Widths) -> dict[str, Any]:
    _, renorm, top_k, routed = source.routing
    return {
        "intermediate_size": widths[0],
        "num_experts": routed,
        "num_experts_per_tok": top_k,
        "norm_topk_prob": renorm,
        "attention_bias": ATTENTION_BIAS in source.features,
    }


FLEX_OLMO = Stock(
    name="FlexOlmo",
    runs_in={"transformers": _ALL, "compressed-tensors": _ALL, "vllm": Reach(_HAS - COMMON, needs=_NEEDS)},
    widths=lambda source: (source.expert_width, 0),
    config=_config,
    mixture=experts,
)
