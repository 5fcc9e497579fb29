"""What is kept of an earlier mixture when data sets are added: the ratios of the old sets among themselves.

Mixture reuse (Olmix, arXiv 2602.12237): the old sets become one, which is drawn in its old ratios, and small runs say
only how much of it there should be beside each new set. So few runs are new, as many as for 1 + new sets.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import MixtureError
from .weights import checked_weights

KEPT = "kept mixture"
"""The old sets as one."""
SLACK = 1e-6
"""How far a small run may be from the kept ratios."""

# Shapes: N data sets, M fractions that are free: that of the kept mixture, and of each added set.


@dataclass(frozen=True)
class Reuse:
    """All data sets, and the mixture of those among them that are kept. Raises MixtureError for an unknown one.

    Example::

        reuse = Reuse(("code", "law", "math"), {"code": 0.75, "law": 0.25})
        reuse.expanded({KEPT: 0.8, "math": 0.2})  # {"code": 0.6, "law": 0.2, "math": 0.2}
    """

    names: Sequence[str]
    kept: Mapping[str, float]

    def __post_init__(self) -> None:
        checked_weights(self.kept, tuple(self.kept))
        unknown = [name for name in self.kept if name not in self.names]
        if unknown:
            raise MixtureError(f"the kept mixture has {unknown[0]!r}, which is no data set of the new one")

    @property
    def added(self) -> tuple[str, ...]:
        """The data sets that are not in the kept mixture."""
        return tuple(name for name in self.names if name not in self.kept)

    @property
    def matrix_NM(self) -> np.ndarray:  # noqa: N802
        """What makes fractions of all sets of the free ones: (N, M)."""
        columns = [[self.kept.get(name, 0.0) for name in self.names]]
        columns += [[float(name == new) for name in self.names] for new in self.added]
        return np.array(columns).T

    def summed(self, fractions_N: np.ndarray) -> np.ndarray:
        """The fractions (M,) of all kept sets together, and of each added one, in a mixture (N,) of any ratios."""
        fractions = dict(zip(self.names, fractions_N.tolist(), strict=True))
        return np.array([sum(fractions[name] for name in self.kept), *(fractions[name] for name in self.added)])

    def collapsed(self, weights_RN: np.ndarray) -> np.ndarray:
        """The free fractions of mixtures.

        Args:
            weights_RN: fractions of all sets.

        Returns:
            (R, M).

        Raises:
            MixtureError: the old sets are in another ratio in one of them.
        """
        free_RM = np.array([self.summed(weights_N) for weights_N in weights_RN])
        if not np.allclose(free_RM @ self.matrix_NM.T, weights_RN, rtol=0, atol=SLACK):
            raise MixtureError(f"a small run has the kept data sets in other ratios than {dict(self.kept)}")
        return free_RM

    def expanded(self, free: Mapping[str, float]) -> dict[str, float]:
        """Fractions of all sets, of those of `KEPT` and of each added set. Raises MixtureError for other names."""
        values = checked_weights(free, (KEPT, *self.added))
        fractions_N = self.matrix_NM @ np.array(list(values.values()))
        return dict(zip(self.names, fractions_N.tolist(), strict=True))

    def most(self, most_N: np.ndarray) -> np.ndarray:
        """Bounds (M,) of the free fractions, with which no set exceeds its own of (N,)."""
        with np.errstate(divide="ignore"):
            return (most_N[:, None] / self.matrix_NM).min(0)
