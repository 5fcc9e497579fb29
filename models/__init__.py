"""Neural modules and transforms of whole models. Knows no data set, no suite and no result format.

`save(model, folder)` and `load(folder)` are the one door for models of every kind; they are imported when first asked
for, as they need torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .hub.registration import announce

if TYPE_CHECKING:
    from .hub.loading import load
    from .hub.saving import save

__all__ = ["load", "save"]

_LATER = {"load": ".hub.loading", "save": ".hub.saving"}

# Whoever imports a room can open its models with the Auto classes of transformers.
announce("sparsebench", f"{__name__}.hub.auto_classes:changed_config")


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATER[name], __name__), name)
