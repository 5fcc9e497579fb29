"""The mixture that a regression on small runs finds best."""

from collections.abc import Mapping, Sequence

import numpy as np

from ...errors import MixtureError
from ..log_linear import fit
from ..proposer import propose
from ..proxy_runs import ProxyRun, as_arrays
from ..reuse import Reuse
from ..signal import check_names
from ..weights import checked_names, checked_sizes, checked_weights
from .static import Static, fractions


class ProxyRegression(Static):
    """Static weights by the procedure of Olmix (arXiv 2602.12237): log-linear laws of the losses of small runs, and the
    mixture that is best by their mean and a pull to the natural mixture, with no data set repeated too often.

    Example::

        sizes = {"code": 900, "math": 400, "chat": 2_000}
        fractions = proxy_mixtures({"code": 0.27, "math": 0.12, "chat": 0.61}, count=10, seed=0)
        runs = [ProxyRun(one, held_out_losses_of_a_small_model_on(one)) for one in fractions]
        mixing = strategy("proxy_regression", list(sizes), runs=runs, sizes=sizes, repeats=4, draws=4_000)

    Args:
        names: of the data sets.
        runs: weights and held-out losses of each small run; `proxy_runs.proxy_mixtures` gives mixtures for them. More
            than as many as there are free fractions.
        kept: the mixture of some of the sets, found earlier, whose ratios stay (`reuse.Reuse`); all runs have it.
        prior: the natural mixture, or the name of published fractions; by default in proportion to the sizes, and equal
            where these are not known.
        sizes: rows by data set.
        kl: the pull toward the natural mixture, in the unit of the losses; its code has 0.05 and 0.1.
        repeats: how often a row may be seen at most; None bounds nothing.
        draws: rows that the training will draw in all, which `repeats` asks for.

    Raises:
        MixtureError: too few runs, unlike ones, a bound that cannot be kept, bad options.
    """

    kind = "proxy_regression"

    def __init__(
        self,
        names: Sequence[str],
        runs: Sequence[ProxyRun],
        *,
        kept: Mapping[str, float] | None = None,
        prior: Mapping[str, float] | str | None = None,
        sizes: Mapping[str, int] | None = None,
        kl: float = 0.05,
        repeats: float | None = None,
        draws: int | None = None,
    ) -> None:
        names = checked_names(names)
        if not kl >= 0:
            raise MixtureError(f"kl is {kl}; give the pull toward the natural mixture, 0 or more")
        # Nothing kept is one set kept: it has no ratios to others, so all fractions are free.
        reuse = Reuse(names, kept or {names[0]: 1.0})
        natural_N = natural_mixture(names, prior, sizes)
        most_N = bounds(names, sizes, repeats, draws)
        best_N = reuse.matrix_NM[:, 0]
        if reuse.added:
            weights_RN, losses_RJ = as_arrays(runs, names)
            laws = fit(reuse.collapsed(weights_RN), losses_RJ)
            free_M = propose(laws, reuse.summed(natural_N), kl, reuse.most(most_N))
            best_N = reuse.matrix_NM @ free_M
        super().__init__(names, dict(zip(names, best_N.tolist(), strict=True)))


def natural_mixture(
    names: Sequence[str], prior: Mapping[str, float] | str | None, sizes: Mapping[str, int] | None
) -> np.ndarray:
    """The natural mixture (N,): what is given, else by size, else equal. Raises MixtureError."""
    if prior is not None:
        prior = fractions(prior)
        check_names("prior fractions", prior, names)
        return np.array([checked_weights(prior, tuple(names))[name] for name in names])
    if sizes is None:
        return np.full(len(names), 1 / len(names))
    check_names("sizes", sizes, names)
    sizes_N = np.array([checked_sizes(sizes)[name] for name in names], dtype=np.float64)
    return sizes_N / sizes_N.sum()


def bounds(
    names: Sequence[str], sizes: Mapping[str, int] | None, repeats: float | None, draws: int | None
) -> np.ndarray:
    """The largest fraction (N,) with which no row is seen more than `repeats` times in so many draws.

    Raises MixtureError where a bound is asked for, and not all is known that it takes.
    """
    if repeats is None:
        return np.ones(len(names))
    if sizes is None or draws is None:
        raise MixtureError("repeats bounds how often a row is seen: give sizes and draws, too")
    if not repeats > 0 or draws < 1:
        raise MixtureError(f"repeats={repeats} and draws={draws} must be above 0")
    rows = checked_sizes(sizes)
    return np.array([min(1.0, repeats * rows[name] / draws) for name in names])
