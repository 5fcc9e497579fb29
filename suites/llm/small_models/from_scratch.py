"""Trains the mixtures from scratch of this module, or their dense twins.

    python -m sparsebench.suites.llm.small_models.from_scratch mixture 0 scratch_mixture_0.safetensors
    python -m sparsebench.suites.llm.small_models.from_scratch twin 0 scratch_twin_0.safetensors

Eight blocks of 16 experts with 64 neurons each, two for a token: experts that have learnt apart from the first step on,
unlike those of `mixture.py`, which are parts of one trained FFN. The twin is dense and has the active size of the
mixture: blocks with 128 neurons. Both see the same windows of text; a seed gives other weights and other windows. The
balance loss is weak (0.001), so that loads may differ. Text: the first half of each domain's calibration half, 9.5 MB
of it seen about once; the second half stays unseen, for studies that train a model further.

One thread, about 40 minutes for a mixture and 35 for a twin.
"""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sparsebench.models.moe import MoEConfig, convert

from . import llama
from .mixture import TOP_K, as_mixtral, mixtral_of

LAYERS, EXPERTS, NEURONS = 8, 16, 64
"""Blocks, experts of a block, neurons of an expert."""
BALANCE = 0.001
STEPS = 4600
"""Of 2,048 bytes: 9.4 M bytes."""
KINDS = ("mixture", "twin")


def scratch_mixtral() -> Any:
    """The untrained mixture as transformers' Mixtral: 3.59 M parameters, 0.84 M of them at work on a token."""
    return mixtral_of(llama.small_llama(LAYERS, EXPERTS * NEURONS).config, EXPERTS, BALANCE)


def scratch_twin() -> Any:
    """The untrained dense twin: a Llama with as many parameters as are at work in the mixture, routers apart."""
    return llama.small_llama(LAYERS, TOP_K * NEURONS)


def first_halves(domains: Sequence[Tensor]) -> list[Tensor]:
    """The first half of each domain's tokens."""
    return [stream[: len(stream) // 2] for stream in domains]


def start(kind: str, seed: int) -> Any:
    """A model before its first step.

    The experts of a mixture are cut from an FFN that has learnt nothing: independent random numbers, as if they had
    been drawn expert by expert.

    Raises:
        ValueError: another kind than "mixture" or "twin".
    """
    if kind not in KINDS:
        raise ValueError(f"{kind!r}: choose one of {', '.join(KINDS)}")
    torch.manual_seed(seed)  # transformers draws the initial weights from the global generator
    if kind == "twin":
        return scratch_twin()
    wide = llama.small_llama(LAYERS, EXPERTS * NEURONS)
    return convert(wide, MoEConfig(num_experts=EXPERTS, top_k=TOP_K, balance="switch", balance_coef=BALANCE, seed=seed))


def main(kind: str, seed: int, out: Path) -> None:
    """Train and write. After a stop, the same command goes on."""
    torch.set_num_threads(1)
    training, held_out = llama.streams()
    folder = out.with_suffix(".training")
    trained = llama.train_on(start(kind, seed), first_halves(training), STEPS, folder, seed=seed)
    llama.write(as_mixtral(trained) if kind == "mixture" else trained, held_out, out)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
