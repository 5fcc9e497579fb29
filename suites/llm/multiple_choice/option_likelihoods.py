"""What the scores of all options say beyond right and wrong: how likely the right answer is, and by how much it leads.

The options of a question get probabilities by a softmax over their scores. An accuracy sees a change only where the
likeliest option becomes another; these see it in every question.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sparsebench.reports.panels.option_scores import OptionScores, to_details
from sparsebench.reports.records.record import Metric

from ...contracts.metrics import Scores

GOLD_NLL, MARGIN = "gold_nll", "margin"
NAMES = (GOLD_NLL, MARGIN)


def with_options(found: Scores, scores: Sequence[Sequence[float]], gold: Sequence[int]) -> Scores:
    """Scores by accuracy with those by likelihood beside them.

    Args:
        found: what the task has measured.
        scores: of the options of each question, in nats.
        gold: the number of the right option of each question.

    Returns:
        `found` with the metrics `gold_nll` and `margin`, their values by question, and all scores in the details;
        `found` itself where a question has one option only, which leaves nothing to compare.
    """
    if min(map(len, scores)) < 2:
        return found
    kept = OptionScores(tuple(map(tuple, scores)), tuple(gold))
    nll_N, margin_N = kept.gold_nll(), kept.margins()
    chance = math.fsum(math.log(len(options)) for options in scores) / len(scores)
    metrics = {GOLD_NLL: _mean(nll_N, False, chance), MARGIN: _mean(margin_N, True, None)}
    return Scores(
        found.main,
        {**found.metrics, **metrics},
        {**found.examples, GOLD_NLL: nll_N.tolist(), MARGIN: margin_N.tolist()},
        {**found.details, **to_details(kept)},
    )


def _mean(values_N: NDArray[np.floating], higher_is_better: bool, chance: float | None) -> Metric:
    n = len(values_N)
    return Metric(
        value=float(values_N.mean()),
        stderr=float(values_N.std(ddof=1)) / math.sqrt(n) if n > 1 else None,
        n=n,
        higher_is_better=higher_is_better,
        chance=chance,
        unit="nats",
    )
