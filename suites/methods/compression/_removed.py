"""What a method that compresses took away, as curves of the record (`reports/compression/curves.py`)."""

from collections.abc import Iterable
from weakref import WeakKeyDictionary

from torch import nn

from sparsebench.models.counting import count_parameters, stored_bytes
from sparsebench.reports.compression import curves as names

from ...contracts.method import Curves

Points = list[tuple[float, float]]
Found = dict[str, Points]

_told: WeakKeyDictionary[nn.Module, Curves] = WeakKeyDictionary()
"""By model, what its last transform took away: `fit` says it to the record."""


class Sizes:
    """Bytes and active parameters of a model, before something is taken away and afterwards."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.before = _sizes(model)

    def curves(self) -> Found:
        """Both, as they are now."""
        after = _sizes(self.model)
        found: Found = {}
        for name, then, now in zip((names.BYTES, names.ACTIVE), self.before, after, strict=True):
            found[name] = [(0.0, float(then)), (1.0, float(now))]
        return found


def tell(model: nn.Module, curves: Curves) -> None:
    """Keep what was taken away from a model until `told` is asked."""
    _told[model] = curves


def told(model: nn.Module) -> Curves:
    """What `tell` was given for the model; nothing where it was not."""
    return _told.get(model, {})


def add(found: Found, name: str, block: float, values: Iterable[float]) -> None:
    """Append points of a block to a curve."""
    for value in values:
        found.setdefault(name, []).append((block, float(value)))


def _sizes(model: nn.Module) -> tuple[int, int]:
    return stored_bytes(model), count_parameters(model).active
