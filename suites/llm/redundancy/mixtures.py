"""The mixtures that we have: those that come with the package, and some that are made of the small Llama in minutes.

Made ones: its FFNs cut into blocks of neurons, or copied with half of each copy drawn again, under a linear router;
then trained on the text that the mixtures from scratch were trained on. All of them come from one model, and so does
the small mixture: they are one origin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from sparsebench.models.moe import MoEConfig, convert

from ..backbones import scratch_mixture, small_mixture
from ..small_models import llama
from ..small_models.from_scratch import first_halves

STEPS = 300
"""Of the training of a mixture that is made here."""
LLAMA = "small_llama"
"""The origin of what is made of it."""


@dataclass(frozen=True)
class Source:
    """A mixture by name: what it was made from, and how to get it in float32."""

    name: str
    origin: str
    load: Callable[[], nn.Module]


def sources(steps: int = STEPS) -> Iterator[Source]:
    """All mixtures, those of the package first.

    Args:
        steps: of the training of those that are made.

    Yields:
        One after the other; none is loaded before it is asked for.
    """
    yield Source("small_mixture", LLAMA, partial(_packaged, small_mixture.load, None))
    for number in scratch_mixture.SHA256:
        name = f"scratch_mixture:{number}"
        yield Source(name, name, partial(_packaged, scratch_mixture.load, str(number)))
    for name, config in MADE.items():
        yield Source(name, LLAMA, partial(_made, config, steps))


def _cut(experts: int, top_k: int) -> MoEConfig:
    return MoEConfig(num_experts=experts, top_k=top_k, balance="switch", balance_coef=0.01, seed=0)


def _copied(experts: int, top_k: int) -> MoEConfig:
    return MoEConfig(
        num_experts=experts,
        top_k=top_k,
        split="whole",
        reinit=0.5,
        score="softmax_topk",
        renorm=True,
        balance="switch",
        balance_coef=0.01,
        seed=0,
    )


MADE = {
    "cut into 4, 2 chosen": _cut(4, 2),
    "cut into 16, 4 chosen": _cut(16, 4),
    "cut into 32, 4 chosen": _cut(32, 4),
    "4 copies, 2 chosen": _copied(4, 2),
    "8 copies, 2 chosen": _copied(8, 2),
    "16 copies, 2 chosen": _copied(16, 2),
}
"""How the small Llama is made a mixture."""


def _packaged(load: Callable[..., object], argument: str | None) -> nn.Module:
    model = load(torch.Generator(), argument).model  # type: ignore[attr-defined]
    return model.float().eval()


def _made(config: MoEConfig, steps: int) -> nn.Module:
    dense = llama.with_weights(llama.small_llama(), llama.WEIGHTS / f"{LLAMA}.safetensors")
    training, _ = llama.streams()
    return llama.train_on(convert(dense, config), first_halves(training), steps, seed=0).eval()
