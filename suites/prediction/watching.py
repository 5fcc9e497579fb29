"""Training that is watched without any effect on it: test scores after each epoch, and the spread of adapter weights.

A budget says `watch: [test, adapters]`, or one of them.

Papers often report the best epoch by test score. How much that flatters a row is the difference of two numbers of the
same training: "best-epoch <metric>", the highest point of the curve "test <metric>" (the lowest, where less is better),
and the score of the last epoch, which is the row's score here and everywhere else. No choice reads either curve.

"adapter_std" is the standard deviation of all weights of the adapters after the last epoch (matrices, no biases): the
paper of iDAT (Ruan et al., arXiv 2403.15750) starts from the observation that it is larger in a smaller model.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from sparsebench.models.distillation import adapter_weights, weight_spread
from sparsebench.models.evaluation import evaluation_mode
from sparsebench.reports.records.record import Metric

BEST = "best-epoch "
"""Begins the name of the metric of the best epoch by test score."""
TEST = "test "
"""Begins the name of the curve of test scores."""
SPREAD = "adapter_std"
"""The curve, and the metric, of how spread adapter weights are."""
Curves = Mapping[str, Sequence[tuple[float, float]]]


@dataclass(frozen=True)
class Watch:
    """What the loop calls after each epoch (`Context.watch`); the modes of the model's modules come back."""

    model: nn.Module
    main_score: Callable[[], tuple[str, float]] | None
    """Name and value of the main metric of the test part, with the model as it is; None scores nothing."""
    adapters: bool
    """Whether to look at the weights of adapters, where the model has some."""

    def __call__(self, trained: Any) -> dict[str, float]:
        """The points of this epoch. What is trained may be a part of the model only, so it is not looked at."""
        points: dict[str, float] = {}
        if self.main_score is not None:
            with evaluation_mode(self.model):
                name, value = self.main_score()
            points[f"{TEST}{name}"] = value
        if self.adapters:
            weights = adapter_weights(self.model)
            if weights:
                points[SPREAD] = weight_spread(weights).std
        return points


def watched_metrics(curves: Curves, last: Metric, main: str, links: int) -> dict[str, Metric]:
    """The metrics of a cell's curves, with `last` as the score of its last epoch.

    Of the last link of a chain of `links` only: what trained before is not the model that is scored. A link without a
    loop (a linear probe) has no epochs, so nothing comes of it.
    """
    prefix = "" if links == 1 else f"{links}. "
    found: dict[str, Metric] = {}
    scores = [value for _, value in curves.get(f"{prefix}{TEST}{main}", ())]
    if scores:
        best = max(scores) if last.higher_is_better else min(scores)
        found[f"{BEST}{main}"] = Metric(
            value=best, n=last.n, higher_is_better=last.higher_is_better, chance=last.chance, unit=last.unit
        )
    spread = [value for _, value in curves.get(f"{prefix}{SPREAD}", ())]
    if spread:
        found[SPREAD] = Metric(value=spread[-1], higher_is_better=True, unit="")
    return found
