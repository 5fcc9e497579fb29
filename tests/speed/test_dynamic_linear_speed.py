"""A partially dynamic linear layer against the plain mixture, the released form and the static layer.

768 -> 3072, 8 experts, top-2, a share of 0.3 of the output rows dynamic. The floor is that share's work: 0.7 + 2 * 0.3
= 1.3 times the static layer's product, against 2 for the plain mixture; what comes on top is sorting tokens, putting
rows in their places and the gate. A mask of single entries has no such floor: it multiplies as often as the plain
mixture and makes each expert's weight first, so that it is slower than that, and the row says so.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparsebench.models.anatomy import linear_view
from sparsebench.models.dynamic.linear.config import MixtureConfig
from sparsebench.models.dynamic.linear.mixture import MixtureLinear

from .groups import Timed, Variant
from .rounds import WALL
from .scope import FULL, LONG

INPUTS, OUTPUTS, EXPERTS, TOP_K, RATIO = 768, 3072, 8, 2, 0.3
TOKENS = (256, 2048) if FULL else (256,)
FASTER_THAN_MIXTURE = 1.15
FASTER_THAN_RELEASE = {256: 2.5, 2048: 1.5}
"""By tokens: with many, products that both have to make are most of the time."""
TRAINS_AS_FAST_AS_MIXTURE = 0.95


def masks() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randperm(OUTPUTS, generator=generator) < round(RATIO * OUTPUTS)
    entries = torch.rand(OUTPUTS, INPUTS, generator=generator) < RATIO
    return {"rows": rows[:, None].expand(OUTPUTS, INPUTS), "entries": entries}


def mixture(linear: nn.Linear, mask: Tensor | None) -> Any:
    config = MixtureConfig(num_kernels=EXPERTS, top_k=TOP_K, noise=0.5, gate_noise="none")
    layer: Any = MixtureLinear.of(linear_view(linear), config, torch.Generator().manual_seed(0)).eval()
    if mask is not None:
        layer.set_partition(mask, linear.weight)
        layer.partition.phi.data.fill_(0.3)
    return layer


def released(layer: Any, x_TI: Tensor) -> Tensor:
    """The released SingleExpert_Pad: every expert makes its masked weight anew, the static part for each (its formula,
    dispatch and loop over experts; not its code)."""
    partition = layer.partition
    mask = partition.mask.to(x_TI.dtype)
    routing = layer.router(x_TI)
    gates_TE = torch.zeros(len(x_TI), EXPERTS).scatter(1, routing.index, routing.weight)
    y_TO = x_TI.new_zeros(len(x_TI), OUTPUTS)
    for expert in range(EXPERTS):
        token_R = gates_TE[:, expert].nonzero()[:, 0]
        dynamic = layer.bank[expert] * mask * partition.lambda_dynamic
        weight = dynamic + partition.static * (1 - mask) * partition.lambda_static
        part_RO = F.linear(x_TI[token_R], weight, layer.bias[expert])
        y_TO = y_TO.index_add(0, token_R, part_RO * gates_TE[token_R, expert, None])
    return y_TO


def layers() -> dict[str, Any]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        linear = nn.Linear(INPUTS, OUTPUTS)
    made = {"static": linear, "mixture": mixture(linear, None)}
    for name, mask in masks().items():
        made[name] = mixture(linear, mask)
    return made


ROLES = {"static": "reference", "mixture": "peer", "rows": "ours", "entries": "ours", "released": "peer"}


@pytest.mark.parametrize("tokens", TOKENS)
@pytest.mark.parametrize("name", ROLES)
@torch.no_grad()
def test_dynamic_rows_are_faster_than_the_plain_mixture(
    name: str, tokens: int, compare: Callable[..., Timed], target: Any
) -> None:
    all_layers = cache(layers)
    x_TI = torch.randn(tokens, INPUTS, generator=torch.Generator().manual_seed(1))

    def variant(name: str) -> Variant:
        layer = all_layers()["rows" if name == "released" else name]
        call = (lambda: released(layer, x_TI)) if name == "released" else (lambda: layer(x_TI))
        if name in ("rows", "entries"):
            torch.testing.assert_close(call(), released(layer, x_TI), atol=1e-4, rtol=1e-4)
        return Variant(call=call, role=ROLES[name])

    group = f"linear mixture 768 -> 3072, 8 top-2, {tokens} tokens, forward"
    timed = compare(name, ROLES, variant, group=group, clock=WALL, floor_times_static=1 - RATIO + TOP_K * RATIO)
    if name == "rows":
        over_mixture = timed.times_as_fast("rows", "mixture")
        target("times as fast as the plain mixture", over_mixture, at_least=FASTER_THAN_MIXTURE)
        over_release = timed.times_as_fast("rows", "released")
        target("times as fast as the release", over_release, at_least=FASTER_THAN_RELEASE[tokens])


@LONG
@pytest.mark.parametrize("tokens", TOKENS)
@pytest.mark.parametrize("name", ROLES)
def test_training_with_dynamic_rows_costs_no_more_than_the_mixture(
    name: str, tokens: int, compare: Callable[..., Timed], target: Any
) -> None:
    """Forward and backward pass. Both write gradients of all experts; that is most of the time of few tokens."""
    all_layers = cache(layers)
    x_TI = torch.randn(tokens, INPUTS, generator=torch.Generator().manual_seed(1)).requires_grad_()
    upstream = torch.randn(tokens, OUTPUTS, generator=torch.Generator().manual_seed(2))

    def variant(name: str) -> Variant:
        layer = all_layers()["rows" if name == "released" else name]
        call = (lambda x: released(layer, x)) if name == "released" else layer
        leaves = [x_TI, *layer.parameters()]
        return Variant(
            call=lambda: torch.autograd.grad(call(x_TI), leaves, upstream, allow_unused=True), role=ROLES[name]
        )

    group = f"linear mixture 768 -> 3072, 8 top-2, {tokens} tokens, forward and backward"
    timed = compare(name, ROLES, variant, group=group, clock=WALL)
    if name == "rows":
        over_mixture = timed.times_as_fast("rows", "mixture")
        target("times as fast as the plain mixture, training", over_mixture, at_least=TRAINS_AS_FAST_AS_MIXTURE)
