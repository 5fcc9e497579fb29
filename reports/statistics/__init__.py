"""Means with intervals, paired differences with their test, and the averages over tasks."""

from .differences import Difference, Outcome, difference, sign_flip
from .estimates import ALPHA, Estimate, at_chance, estimate, estimate_mean, vtab_averages
from .examples import ExampleScores, example_scores
from .pairing import Pairing, Score, Side, pair

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
    "difference",
    "estimate",
    "estimate_mean",
    "example_scores",
    "pair",
    "sign_flip",
    "vtab_averages",
]
