"""Sample molecules for targets of one property at a time, and compare what came out with what was asked for."""

from typing import Any

import numpy as np
import torch

from sparsebench.data.molecules.properties import PROPERTIES, properties
from sparsebench.reports.figures.plots import Aim
from sparsebench.reports.panels.property_control import Control, to_details
from sparsebench.reports.records.record import Metric

from ...contracts.context import Context
from ...contracts.method import NotApplicable
from ...contracts.metrics import Scores, correlations

TARGETS = (-1.5, -0.75, 0.0, 0.75, 1.5)
"""Standard deviations from the mean of the training molecules."""
LEAST = "least spearman"
"""The correlation of the property that follows least: a mean would hide one that does not follow at all."""
UNITS = {"logp": "", "qed": "", "sa": "", "mw": "Da"}

# Shapes: T targets, N molecules for each of them.


def follow_targets(sampler: Any, count: int, context: Context) -> Scores:
    """Scores, with the report's figures, of `count` molecules for each target of each property.

    Raises NotApplicable for a model that takes no conditions, ValueError where no molecule of a target can be read.
    """
    statistics = sampler.model.config.properties
    if not statistics:
        raise NotApplicable("the model takes no conditions")
    generator = context.task_generator("sampling")
    metrics: dict[str, Metric] = {}
    controls: dict[str, Control] = {}
    for name in PROPERTIES:
        mean, deviation = statistics[name]
        targets = [mean + z * deviation for z in TARGETS]
        achieved_TN = np.stack([_achieved(sampler, name, target, count, generator) for target in targets])
        standardised_T = (np.array(targets) - mean) / deviation
        metrics |= _scores(name, standardised_T, (achieved_TN - mean) / deviation, context)
        controls[name] = Control(UNITS[name], tuple(map(_aim, targets, achieved_TN)))
    for kind in ("spearman", "MAE", "rising"):
        metrics[kind] = _mean([metrics[f"{kind} {name}"] for name in PROPERTIES])
    metrics[LEAST] = min((metrics[f"spearman {name}"] for name in PROPERTIES), key=lambda metric: metric.value)
    return Scores(LEAST, metrics, {}, to_details(controls))


def _achieved(sampler: Any, name: str, target: float, count: int, generator: torch.Generator) -> np.ndarray:
    """The property of `count` molecules, NaN for one that cannot be read."""
    generated = sampler.sample(count, (), generator, properties={name: target})
    column = PROPERTIES.index(name)
    # `properties` gives NaN for None, too.
    return np.array([properties(one.mol)[column] for one in generated])


def _scores(name: str, targets_T: np.ndarray, achieved_TN: np.ndarray, context: Context) -> dict[str, Metric]:
    """Scores from standardised targets and achieved values."""
    if not np.isfinite(achieved_TN).any(axis=1).all():
        raise ValueError(f"{name}: for some target no molecule can be read, so nothing can be said of it")
    known_TN = ~np.isnan(achieved_TN)
    achieved = achieved_TN[known_TN]
    wanted = np.broadcast_to(targets_T[:, None], achieved_TN.shape)[known_TN]
    columns = torch.from_numpy(achieved)[:, None], torch.from_numpy(wanted)[:, None]
    errors = np.abs(achieved - wanted)
    steps = np.diff(np.nanmean(achieved_TN, axis=1))
    return {
        f"spearman {name}": correlations(*columns, context.task_generator("bootstrap"))["spearman"],
        f"MAE {name}": Metric(
            value=float(errors.mean()),
            stderr=float(errors.std() / len(errors) ** 0.5),
            n=len(errors),
            higher_is_better=False,
            unit="sd",
        ),
        f"rising {name}": Metric(
            value=float((steps > 0).mean()), n=len(steps), higher_is_better=True, chance=0.5, unit="share"
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


def _aim(target: float, achieved_N: np.ndarray) -> Aim:
    low, middle, high = np.nanpercentile(achieved_N, [25, 50, 75])
    return Aim(target, float(middle), float(low), float(high))
