"""Read a Llama-architecture GGUF file into plain tensors, a `transformers` config and a fast tokenizer.

Own and short, because the ways of `transformers` mark the model as quantised and then refuse to save it. Whatever a
file says, the outcome is a whole model or a `WeightsError` that names what is wrong.
"""

from .conversion import config, tensors
from .head import Head, read_head
from .tokens import tokenizer

__all__ = ["Head", "config", "read_head", "tensors", "tokenizer"]
