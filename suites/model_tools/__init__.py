"""A model of one's own: dense to mixture, smaller, and out to other engines, from folder to folder.

`sparsebench convert | compress | export MODEL OUT` call these functions, which take the same arguments::

    from sparsebench.suites.model_tools import compress, convert, export

    print(convert("HuggingFaceTB/SmolLM2-135M", "mixture", experts=8, top_k=2, shared=2))
    print(compress("mixture", "packed", keep_experts=0.75, bits=4))
    print(export("packed", "stock", engine="compressed-tensors"))

`recipe.py` has the steps by name and reads them from YAML files.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .verbs import compress, convert, export

__all__ = ["compress", "convert", "export"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import verbs

    return getattr(verbs, name)
