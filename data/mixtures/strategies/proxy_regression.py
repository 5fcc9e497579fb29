"""The mixture that a regression on small runs finds best."""

from collections.abc import Mapping, Sequence

from ..proxy_runs import Regressor, best_mixture
from ..signal import check_names
from ..weights import checked_names
from .static import Static, fractions


class ProxyRegression(Static):
    """Static weights by the procedure of RegMix (arXiv 2407.01492): see `proxy_runs.best_mixture`.

    Args:
        names: of the data sets.
        runs: weights and held-out loss of each small run; `proxy_runs.proxy_mixtures` gives mixtures for them.
        prior: shares around which mixtures are sought, or the name of published ones; equal ones by default.
        regressor: "linear" or "boosted".
        seed: of the simulated mixtures.
    """

    kind = "proxy_regression"

    def __init__(
        self,
        names: Sequence[str],
        runs: Sequence[tuple[Mapping[str, float], float]],
        *,
        prior: Mapping[str, float] | str | None = None,
        regressor: Regressor = "linear",
        seed: int = 0,
    ) -> None:
        names = checked_names(names)
        if prior is None:
            prior = dict.fromkeys(names, 1 / len(names))
        prior = fractions(prior)
        check_names("prior shares", prior, names)
        super().__init__(names, best_mixture(runs, {name: prior[name] for name in names}, regressor, seed))
