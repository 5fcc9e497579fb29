"""Any causal LM of transformers, `hf:<folder or hub id>`, safetensors only"""

import torch

from ..language import CausalLM
from ..pretrained import load_pretrained

SOURCES = ()
FAMILY = "transformer"
NEEDS_ARGUMENT = True


def load(generator: torch.Generator, argument: str | None = None) -> CausalLM:
    """The weights named by `argument`; `generator` is not used. Raises `ValueError` without an argument."""
    if not argument:
        raise ValueError("backbone 'hf' needs a model: write hf:<folder> or hf:<owner>/<name>")
    return load_pretrained(argument)
