"""Mixtral of 3.6 M parameters, 0.84 M at work on a token, trained from scratch (`small_models/from_scratch.py`)

8 layers, width 128, 16 experts of 64 neurons, two for a token, bytes as tokens: experts that have learnt apart from the
first step on. `scratch_mixture:1` is the training with seed 1, and so on; without an argument it is that with seed 0.
So a study may say something of such mixtures, and not of one. Bits per byte: `suites/llm/weights/README.md`.
"""

import torch

from ..language.task import CausalLM
from ..small_models.byte_tokenizer import byte_tokenizer
from ..small_models.from_scratch import scratch_mixtral
from ..small_models.llama import published
from ..small_models.trainings import training

SOURCES = ()
TRAITS = ("parameters", "blocks", "attention", "experts", "causal")
DESCRIBERS = ("hf_mixture",)
SHA256 = {
    0: "72163539c7fe48d1fa1af8fa9a7926fbc98cae036cd8677bbeb64a575413822b",
    1: "8edfa164cb62975b4b813de4ee51cabd9285b5c377c8616f0227a0a0e9f28c28",
    2: "20e384bb93de530be11591bf8cee4117ae619ae5f2aa6eaa58c91a2b7df5f3d8",
}
"""Digest of the weights by the number of the training: here, so that other weights are another backbone to the runner.
"""


def load(generator: torch.Generator, argument: str | None = None) -> CausalLM:
    """The weights of a training. Raises `ValueError` for one that is not shipped, and for a file of other weights."""
    number, sha256 = training("scratch_mixture", argument, SHA256)
    return CausalLM(published(scratch_mixtral(), f"scratch_mixture_{number}", sha256), byte_tokenizer())
