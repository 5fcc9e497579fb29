"""Means with intervals, paired differences with their test, and the averages over tasks."""

from .differences import Difference, Outcome, difference
from .estimates import ALPHA, Estimate, at_chance, estimate, estimate_mean, vtab_averages, wilson
from .examples import ExampleScores, example_scores
from .joining import change, mean_score
from .looks import level_at
from .pairing import Pairing, Score, Side, pair
from .power import chance_to_settle, seeds_to_settle
from .stepping import holm

__all__ = [
    "ALPHA",
    "Difference",
    "Estimate",
    "ExampleScores",
    "Outcome",
    "Pairing",
    "Score",
    "Side",
    "at_chance",
    "chance_to_settle",
    "change",
    "difference",
    "estimate",
    "estimate_mean",
    "example_scores",
    "holm",
    "level_at",
    "mean_score",
    "pair",
    "seeds_to_settle",
    "vtab_averages",
    "wilson",
]
