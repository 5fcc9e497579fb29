"""One router for all conversions, so that rows differ by the split alone."""

from dataclasses import replace

from sparsebench.models.moe.config import MoEConfig


def with_common_router(config: MoEConfig) -> MoEConfig:
    """The same experts under a linear router that starts from a regression on their outputs and learns by its weights.

    Chosen experts start near their dense coefficient (`router_init="regressed"`); a single one has it, with the
    gradient of its probability. Balance: Switch-type, 0.01. No noise.

    Args:
        config: of a conversion that cuts FFNs.

    Returns:
        The configuration.

    Raises:
        ModelError: experts of the same neurons (copies), which no regression can tell apart.
    """
    return replace(
        config,
        router="linear",
        router_init="regressed",
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
