"""What the scores of all options say beyond right and wrong: how likely the right answer is, and by how much it leads.

The options of a question get probabilities by a softmax over their scores. An accuracy sees a change only where the
likeliest option becomes another; these see it in every question.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sparsebench.reports.panels.option_scores import KEY, OptionScores, to_details
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


def with_options_of_sets(found: Scores, sets: Sequence[Scores]) -> Scores:
    """Scores with what the options of several sets of questions say, all questions together and each weighing alike.

    Args:
        found: scores of something else.
        sets: what `with_options` gave for each set; those without are left out.

    Returns:
        `found` with `gold_nll` and `margin`, their values by question and all scores; `found` itself without any.
    """
    kept = [one for one in sets if KEY in one.details]
    if not kept:
        return found
    examples = {name: [value for one in kept for value in one.examples[name]] for name in NAMES}
    sizes = [len(one.examples[GOLD_NLL]) for one in kept]
    chances = [one.metrics[GOLD_NLL].chance or 0.0 for one in kept]
    chance = math.fsum(size * each for size, each in zip(sizes, chances, strict=True)) / sum(sizes)
    metrics = {
        GOLD_NLL: _mean(np.asarray(examples[GOLD_NLL]), False, chance),
        MARGIN: _mean(np.asarray(examples[MARGIN]), True, None),
    }
    entry = {part: [item for one in kept for item in one.details[KEY][part]] for part in ("gold", "scores")}
    return Scores(
        found.main, {**found.metrics, **metrics}, {**found.examples, **examples}, {**found.details, KEY: entry}
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
