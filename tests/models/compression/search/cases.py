"""A small space and a search that takes a moment, for all mixtures."""

from typing import Any

from sparsebench.models.anatomy import describe
from sparsebench.models.compression.search.budget import Budget
from sparsebench.models.compression.search.options import SearchSpace
from sparsebench.models.compression.search.searching import SearchConfig

SPACE = SearchSpace(experts=(0.5,), widths=(0.5,), bits=(3,), layers=True)


def config(name: str, budget: Budget, space: SearchSpace = SPACE, **fields: Any) -> SearchConfig:
    """By logits where the model of this name has some."""
    distance = "states" if name in ("vit", "graphsgpt") else "kl"
    return SearchConfig(**({"distance": distance, "group_size": 16, "anchors": 1} | fields), budget=budget, space=space)


def mixtures(model: Any) -> list[tuple[int, int] | None]:
    """Of each block with a mixture or without an FFN: experts and hidden neurons; None where it was dropped."""
    found: list[tuple[int, int] | None] = []
    for block in describe(model).blocks:
        if block.mlp is None:
            found.append(None)
        elif block.mlp.experts is not None:
            found.append((block.mlp.experts.num_experts, block.mlp.hidden))
    return found
