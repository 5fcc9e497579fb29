"""Means with intervals, and paired differences with their test."""

from .differences import Difference, Outcome, difference
from .estimates import ALPHA, Estimate, at_chance, estimate, estimate_mean, wilson
from .examples import ExampleScores, example_scores
from .levels import holm, level_at
from .pairing import Pairing, Score, Side, change, mean_score, pair
from .power import chance_to_settle, seeds_to_settle

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
    "wilson",
]
