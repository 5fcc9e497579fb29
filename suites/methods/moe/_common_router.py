"""One router for all conversions, so that rows differ by the split alone."""

from dataclasses import replace
from typing import Literal

from sparsebench.models.moe.config import MoEConfig


def with_common_router(config: MoEConfig, start: Literal["regressed", "random"] = "regressed") -> MoEConfig:
    """The same experts under a linear router that learns by its weights.

    Regressed on what experts add to the output, it gives chosen ones about their dense coefficient at first; a single
    one has it in any case, with the gradient of its probability. Balance: Switch-type, 0.01. No noise.

    Args:
        config: of a conversion that cuts FFNs.
        start: of the router.

    Returns:
        The configuration.

    Raises:
        ModelError: experts of the same neurons (copies), which no regression can tell apart.
    """
    return replace(
        config,
        router="linear",
        router_init=start,
        score="topk_softmax",
        noise="none",
        straight_through=config.top_k == 1,
        scale="exact",
        balance="switch",
        balance_coef=1e-2,
        z_coef=0.0,
        densemixer=False,
        align=False,
        faithful=False,
    )
