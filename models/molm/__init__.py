"""MoLM, the language models of ModuleFormer (arXiv 2306.04640): mixtures of FFNs, and of queries over shared keys.

Checkpoints of the official code are read by `official.from_official`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..hub.registration import announce

if TYPE_CHECKING:
    from .configuration import MoLMConfig
    from .modeling import MoLMForCausalLM

__all__ = ["MoLMConfig", "MoLMForCausalLM"]

# `modeling` has the configuration, and registers the model as well.
announce("molm", f"{__name__}.modeling:MoLMConfig")


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(".modeling", __name__), name)
