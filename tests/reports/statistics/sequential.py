"""A study that adds seeds by need, drawn many times at once: what `tables.claims.judge` does, on arrays."""

from collections.abc import Sequence

import numpy as np
from scipy.special import stdtrit

from sparsebench.reports.statistics import ALPHA, level_at
from sparsebench.reports.statistics.intervals import Part, half_width

OPEN, AHEAD, BEHIND, NEGLIGIBLE, GIVEN_UP = range(5)


def verdicts(differences_RSK: np.ndarray, looks: Sequence[int], smallest: float, hopeless: float = 0.0) -> np.ndarray:
    """Which verdicts stand at the end (repeats, claims), of paired differences (repeats, seeds, claims).

    Each claim stops at the first look at which its verdict stands when it is corrected over the study, or its chance of
    being decided at the last one is below `hopeless`.
    """
    repeats, _, claims = differences_RSK.shape
    found_RK = np.full((repeats, claims), OPEN)
    for look, seeds in enumerate(looks):
        there_RSK = differences_RSK[:, :seeds]
        mean_RK = there_RSK.mean(axis=1)
        error_RK = there_RSK.std(axis=1, ddof=1) / seeds**0.5
        levels = [level_at(looks, look, ALPHA / (claims - fallen)) for fallen in range(claims)]
        widths = np.array([half_width([Part(1.0, seeds - 1)], level) for level in levels])
        for _ in range(claims):
            differ_R = np.isin(found_RK, (AHEAD, BEHIND)).sum(axis=1)
            same_R = (found_RK == NEGLIGIBLE).sum(axis=1)
            half_RK = error_RK * widths[np.minimum(differ_R, claims - 1)][:, None]
            said_RK = np.where(mean_RK > half_RK, AHEAD, np.where(mean_RK < -half_RK, BEHIND, OPEN))
            half_RK = error_RK * widths[np.minimum(same_R, claims - 1)][:, None]
            said_RK = np.where(np.abs(mean_RK) + half_RK < smallest, NEGLIGIBLE, said_RK)
            now_RK = np.where(found_RK == OPEN, said_RK, found_RK)
            if (now_RK == found_RK).all():
                break
            found_RK = now_RK
        if seeds < looks[-1]:
            lost_RK = chance(mean_RK, error_RK, seeds, looks, smallest) < hopeless
            found_RK = np.where((found_RK == OPEN) & lost_RK, GIVEN_UP, found_RK)
    return found_RK


def chance(mean_RK: np.ndarray, error_RK: np.ndarray, seeds: int, looks: Sequence[int], smallest: float) -> np.ndarray:
    """How likely one claim alone is to be decided at the last look, over 49 quantiles of the mean that it may have."""
    budget = looks[-1]
    part = Part(seeds / budget, budget - 1)
    half_RK = error_RK * half_width([part], level_at(looks, len(looks) - 1, ALPHA))
    found_RK = np.zeros_like(mean_RK)
    for place in range(49):
        away = float(stdtrit(seeds - 1, (place + 0.5) / 49)) * (1 - seeds / budget) ** 0.5
        end_RK = np.abs(mean_RK + away * error_RK)
        found_RK += (end_RK > half_RK) | (end_RK + half_RK < smallest)
    return found_RK / 49
