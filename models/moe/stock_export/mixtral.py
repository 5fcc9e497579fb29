"""Mixtral: renormalised softmax routing in every block, no bias, no shared block."""

from __future__ import annotations

from typing import Any

from .features import COMMON, HEAD_WIDTH, WINDOW, scaled
from .source import Source
from .stock import Reach, Stock, Widths, experts


def _config(source: Source, widths: Widths) -> dict[str, Any]:
    _, _, top_k, routed = source.routing
    return {
        "intermediate_size": widths[0],
        "num_local_experts": routed,
        "num_experts_per_tok": top_k,
        "sliding_window": source.model.config.sliding_window if any(source.windows) else None,
    }


_ALL = Reach(COMMON | {WINDOW})

MIXTRAL = Stock(
    name="Mixtral",
    runs_in={
        "transformers": _ALL,
        "compressed-tensors": _ALL,
        "vllm": Reach(frozenset({WINDOW, HEAD_WIDTH, scaled("llama3"), scaled("yarn"), scaled("longrope")})),
        "llama.cpp": Reach(frozenset({HEAD_WIDTH, scaled("llama3"), scaled("yarn")})),
    },
    widths=lambda source: (source.expert_width, 0),
    config=_config,
    mixture=experts,
)
