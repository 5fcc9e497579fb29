"""Llama of 0.82 M parameters, the dense twin of the mixtures from scratch (`small_models/from_scratch.py`)

8 layers, width 128, FFN 128: the active size of `scratch_mixture`, routers apart, trained on the same windows of text.
`scratch_twin:1` is the training with seed 1, and so on; without an argument it is that with seed 0. Bits per byte:
`suites/llm/weights/README.md`.
"""

import torch

from ..language.task import CausalLM
from ..small_models.byte_tokenizer import byte_tokenizer
from ..small_models.from_scratch import scratch_twin
from ..small_models.llama import published
from ..small_models.trainings import training

SOURCES = ()
TRAITS = ("parameters", "blocks", "attention", "ffn", "causal")
DESCRIBERS = ("hf_decoder",)
SHA256 = {
    0: "1c9bf97f0783041b46cade5bc6b2f00252411120dd67c13a04883f1d3eae23a7",
    1: "65c7908ee248b1c2dc01fb43b577aa6e1e63803da59a7d4077b94bc8909c0d8e",
    2: "451b06948703174e270a7049ba3bd2f0fbb288f562b0579a06f29320835323bc",
}
"""Digest of the weights by the number of the training: here, so that other weights are another backbone to the runner.
"""


def load(generator: torch.Generator, argument: str | None = None) -> CausalLM:
    """The weights of a training. Raises `ValueError` for one that is not shipped, and for a file of other weights."""
    number, sha256 = training("scratch_twin", argument, SHA256)
    return CausalLM(published(scratch_twin(), f"scratch_twin_{number}", sha256), byte_tokenizer())
