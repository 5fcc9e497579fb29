"""Result records, their store, statistics, tables, plots and the HTML page. Knows no model and no suite.

`read_results(folder)` is the door for whoever analyses results in Python; it is imported when first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .reading import Results, read_results

__all__ = ["Results", "read_results"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(".reading", __name__), name)
