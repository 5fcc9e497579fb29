"""Strategies by name, for profiles and command lines."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import MixtureError
from ...manifest import near
from .bandit import Bandit
from .base import Strategy, WeightedStrategy
from .gate_load import GateLoad, GateLoadStatic
from .proxy_regression import ProxyRegression
from .random_weights import RandomWeights
from .reference_loss import ReferenceLoss
from .sentence_embeddings import SentenceEmbeddings
from .sequential import Sequential
from .static import BySize, FinalStatic, Static, Uniform

_CLASSES: tuple[type[WeightedStrategy], ...] = (
    Uniform,
    BySize,
    Static,
    FinalStatic,
    RandomWeights,
    Sequential,
    ReferenceLoss,
    GateLoad,
    GateLoadStatic,
    SentenceEmbeddings,
    Bandit,
    ProxyRegression,
)
STRATEGIES: dict[str, type[WeightedStrategy]] = {found.kind: found for found in _CLASSES}
"""Every strategy by its name."""


def strategy(
    name: str,
    names: Sequence[str],
    *,
    sizes: Mapping[str, int] | None = None,
    reference: Mapping[str, float] | None = None,
    seed: int = 0,
    **options: Any,
) -> Strategy:
    """The strategy of a name for some data sets.

    Args:
        name: one of `STRATEGIES`.
        names: the data sets.
        sizes: rows by data set; this, `reference` and `seed` may always be given: the strategies that use them take
            them.
        reference: losses of a reference model by data set.
        seed: of what a strategy draws.
        options: those of the strategy's class; None means its default.

    Returns:
        The strategy, before its first update.

    Raises:
        MixtureError: an unknown strategy, an unknown option, one that is missing, and bad values.
    """
    if name not in STRATEGIES:
        raise MixtureError(f"no strategy {name!r}{near(name, STRATEGIES)}")
    parameters = _parameters(STRATEGIES[name])
    for option in options:
        if option not in parameters:
            raise MixtureError(f"strategy {name!r} has no option {option!r}{near(option, parameters)}")
    shared = {"sizes": sizes, "reference": reference, "seed": seed}
    given = {key: value for key, value in (shared | options).items() if key in parameters and value is not None}
    for option, parameter in parameters.items():
        if option not in given and parameter.default is inspect.Parameter.empty:
            raise MixtureError(f"strategy {name!r} needs {option}; give it")
    return STRATEGIES[name](names, **given)


def _parameters(kind: type[WeightedStrategy]) -> dict[str, inspect.Parameter]:
    """Options of a strategy by name; those of its base where it hands on what it gets."""
    parameters = dict(inspect.signature(kind).parameters)
    if "options" in parameters:
        base = kind.__mro__[1]
        parameters = dict(inspect.signature(base).parameters)
    del parameters["names"]
    return parameters
