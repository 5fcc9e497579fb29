"""The experts of a mixture of transformers 5 as the anatomy sees them."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from .experts import Experts, InterleavedExperts, StackedExperts, table_at
from .sites import Site, see_through

_ROWS = ("weight", "bias", "e_score_correction_bias")


def stock_experts(module: Any, router: str = "gate", shared: Site | None = None) -> Experts:
    """Experts of a module of transformers that holds `experts`, with fused parameters, and a router.

    The layout (interleaved with biases as in GPT-OSS, without a gate, ...) and the groups of the router (DeepSeek) are
    read from what the two modules say of themselves.

    Args:
        module: the mixture.
        router: the name of the router in it.
        shared: the FFN that all tokens pass in addition, if there is one.

    Returns:
        The view of the experts, which can be read and written to.
    """
    place = see_through(module, "experts")
    fused = place.get()
    chooser = see_through(module, router).get()
    rows = tuple(Site(chooser, name) for name in _ROWS if isinstance(getattr(chooser, name, None), Tensor))
    corrected = any(site.name == "e_score_correction_bias" for site in rows)
    groups = getattr(chooser, "num_group", None) or 1
    common: dict[str, Any] = {
        "num_experts": len(fused.down_proj),
        "top_k": chooser.top_k,
        "router": see_through(module, router),
        "module": place,
        "rows": rows,
        "shared": shared,
        "groups": groups,
        "top_groups": (getattr(chooser, "topk_group", None) or 1) if groups > 1 else 1,
        # With a correction bias, a group is as good as the sum of its two best experts.
        "least_in_group": 2 if corrected and hasattr(chooser, "num_group") else 1,
        "holders": (module, chooser, fused),
        # The routers of DeepSeek-V3 and those after it: a bias corrects the sigmoids that they choose by.
        "softmax": not corrected,
        "activate": partial(_activate, fused),
    }
    table = table_at(module, "experts")
    if table is not None:
        # The router chooses as it did; groups are its own affair.
        common |= {"table": table, "rows": (), "groups": 1, "top_groups": 1, "least_in_group": 1}
    down = Site(fused, "down_proj")
    if getattr(fused, "is_transposed", False):
        gate_up, gate_up_bias = Site(fused, "gate_up_proj"), Site(fused, "gate_up_proj_bias")
        down_bias = Site(fused, "down_proj_bias")
        return InterleavedExperts(
            tensors=(gate_up, gate_up_bias, down, down_bias),
            gate_up=gate_up,
            gate_up_bias=gate_up_bias,
            down=down,
            down_bias=down_bias,
            **common,
        )
    gated = hasattr(fused, "gate_up_proj")
    gate_up = Site(fused, "gate_up_proj" if gated else "up_proj")
    return StackedExperts(tensors=(gate_up, down), gate_up=gate_up, down=down, gated=gated, **common)


def _activate(fused: Any, gate_RF: Tensor | None, up_RF: Tensor) -> Tensor:
    """What a stock module does between its projections, (R, F): it takes gate and up as they lie in its weights."""
    if gate_RF is None:
        return fused.act_fn(up_RF)
    if getattr(fused, "is_transposed", False):
        return fused._apply_gate(torch.stack((gate_RF, up_RF), -1).flatten(-2))
    return fused._apply_gate(torch.cat((gate_RF, up_RF), -1))


def expert_sizes(experts: Experts) -> tuple[int, int]:
    """Width and hidden neurons of an expert, for `MLP.width` and `MLP.hidden`.

    By the shape of all, where there is one: to take one expert out of tensors that several processes share gathers all.

    Args:
        experts: the experts of one mixture.

    Returns:
        D, the width, and F, the hidden neurons.
    """
    if isinstance(experts, StackedExperts):
        _, width, hidden = experts.down.tensor().shape
        return width, hidden
    if isinstance(experts, InterleavedExperts):
        _, hidden, width = experts.down.tensor().shape
        return width, hidden
    return experts.weights(0).down.shape[0], experts.weights(0).down.shape[1]
