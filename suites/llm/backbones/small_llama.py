"""Llama of 1.02 M parameters, bytes as tokens, trained by this project (`suites/llm/small_models/llama.py`)

4 layers, width 128, FFN 512, 8 query and 4 key/value heads, 512 tokens. Seed 0, 1,700 steps on 3.5 MB of the
calibration halves of the seven text domains; on the held-out ends of those: encyclopedic 2.43, code 2.13, law 1.99,
mathematics 2.26, science 2.35, speech 1.99, drama 2.83 bits per byte. It shows effects cheaply and is no model to use.
`small_llama:scratch` has the same shape and random weights of the seed: the control of a start from a trained model.
"""

import torch

from sparsebench.models.precision import cast

from ..language.task import CausalLM
from ..small_models.byte_tokenizer import byte_tokenizer
from ..small_models.llama import published, small_llama

SOURCES = ()
TRAITS = ("parameters", "blocks", "attention", "ffn", "causal")
DESCRIBERS = ("hf_decoder",)
SHA256 = "c79a093183978a84a8254910b7c4d3d6382e9e579b6b3a92540208a25e7d55f4"
"""Digest of the weights: here, so that other weights are another backbone to the runner."""
SCRATCH = "scratch"


def load(generator: torch.Generator, argument: str | None = None) -> CausalLM:
    """The trained weights, or with the argument "scratch" those that `generator` draws.

    Raises `ValueError` for another argument and for a file of other weights.
    """
    if argument == SCRATCH:
        return _scratch(generator)
    if argument is not None:
        raise ValueError(f"small_llama:{argument}: the only argument is {SCRATCH!r}, for random weights")
    return CausalLM(published(small_llama(), "small_llama", SHA256), byte_tokenizer())


def _scratch(generator: torch.Generator) -> CausalLM:
    """The model that the training of the published weights starts from, but of another seed."""
    seed = int(torch.randint(2**31, (), generator=generator))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # transformers draws the initial weights from the global generator
        model = small_llama()
    return CausalLM(cast(model, torch.bfloat16).eval(), byte_tokenizer())
