"""Draw molecules for targets of one property at a time, and compare what came out with what was asked for."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from sparsebench.data.molecules.properties import PROPERTIES, properties
from sparsebench.reports.figures.plots import Aim
from sparsebench.reports.panels.property_control import Control, to_details
from sparsebench.reports.record import Metric

from ..contracts.context import Context
from ..contracts.method import NotApplicable
from ..contracts.metrics import Scores, correlations

TARGETS = (-1.5, -0.75, 0.0, 0.75, 1.5)
"""Standard deviations from the mean of the training molecules."""
UNITS = {"logp": "", "qed": "", "sa": "", "mw": "Da"}


def follow_targets(sampler: Any, count: int, context: Context) -> tuple[Scores, Mapping[str, Any]]:
    """`count` molecules for each target of each property. Raises ValueError where none of them can be read."""
    statistics = sampler.model.config.properties
    if not statistics:
        raise NotApplicable("the model takes no requests")
    draw = context.task_generator("sampling")
    metrics: dict[str, Metric] = {}
    controls: dict[str, Control] = {}
    for name in PROPERTIES:
        mean, deviation = statistics[name]
        targets = [mean + z * deviation for z in TARGETS]
        achieved = np.stack([_achieved(sampler, name, target, count, draw) for target in targets])
        metrics |= _scores(name, (np.array(targets) - mean) / deviation, (achieved - mean) / deviation, context)
        controls[name] = Control(UNITS[name], tuple(map(_aim, targets, achieved)))
    for kind in ("spearman", "MAE", "rising"):
        metrics[kind] = _mean([metrics[f"{kind} {name}"] for name in PROPERTIES])
    return Scores("spearman", metrics, {}), to_details(controls)


def _achieved(sampler: Any, name: str, target: float, count: int, draw: torch.Generator) -> np.ndarray:
    """The property of `count` molecules, NaN for one that cannot be read."""
    made = sampler.draw(count, (), draw, properties={name: target})
    place = PROPERTIES.index(name)
    return np.array([properties(one.mol)[place] if one.mol is not None else np.nan for one in made])


def _scores(name: str, targets: np.ndarray, achieved: np.ndarray, context: Context) -> dict[str, Metric]:
    """Of standardised targets (T,) and achieved values (T, n)."""
    wanted = np.repeat(targets, achieved.shape[1])
    got = achieved.ravel()
    known = ~np.isnan(got)
    if not np.isfinite(achieved).any(axis=1).all():
        raise ValueError(f"{name}: for some target no molecule can be read, so nothing can be said of it")
    pairs = torch.from_numpy(got[known])[:, None], torch.from_numpy(wanted[known])[:, None]
    errors = np.abs(got - wanted)[known]
    means = np.nanmean(achieved, axis=1)
    return {
        f"spearman {name}": correlations(*pairs, context.task_generator("bootstrap"))["spearman"],
        f"MAE {name}": Metric(
            value=float(errors.mean()),
            stderr=float(errors.std() / len(errors) ** 0.5),
            n=len(errors),
            higher_is_better=False,
            unit="sd",
        ),
        f"rising {name}": Metric(
            value=float((np.diff(means) > 0).mean()), n=len(means) - 1, higher_is_better=True, chance=0.5, unit="share"
        ),
    }


def _mean(metrics: list[Metric]) -> Metric:
    first = metrics[0]
    return Metric(
        value=float(np.mean([metric.value for metric in metrics])),
        n=sum(metric.n or 0 for metric in metrics),
        higher_is_better=first.higher_is_better,
        chance=first.chance,
        unit=first.unit,
    )


def _aim(target: float, achieved: np.ndarray) -> Aim:
    low, middle, high = np.nanpercentile(achieved, [25, 50, 75])
    return Aim(target, float(middle), float(low), float(high))
