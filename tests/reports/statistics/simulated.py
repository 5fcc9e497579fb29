"""Pairs of scores as two rows would give them: seed + example + rest, and their per-example contributions."""

import numpy as np

from sparsebench.reports.statistics import ExampleScores, Pairing, Score


def score_of(values_N: np.ndarray, clusters_N: np.ndarray | None = None) -> Score:
    """One seed's score, with the contributions of its examples, and what these were cut from."""
    none = np.zeros(len(values_N))
    found = ExampleScores(np.asarray(values_N, dtype=float), none.astype(int), (1.0,), none, clusters_N)
    return Score(float(np.mean(values_N)), read=lambda: found)


def pairing_of(differences_SN: np.ndarray) -> Pairing:
    """Pairs whose differences are given, by seed and example."""
    zero = score_of(np.zeros(differences_SN.shape[1]))
    pairs = tuple((score_of(values_N), zero) for values_N in differences_SN)
    return Pairing(pairs, len(pairs))


def seeds_only(differences_S: np.ndarray) -> Pairing:
    """Pairs without examples."""
    pairs = tuple((Score(float(value)), Score(0.0)) for value in differences_S)
    return Pairing(pairs, len(pairs))


def noise(generator: np.random.Generator, shape: tuple[int, ...], tails: int | None) -> np.ndarray:
    """Of variance 1: normal, or Student's t with so many degrees of freedom."""
    if tails is None:
        return generator.normal(size=shape)
    return generator.standard_t(tails, size=shape) / (tails / (tails - 2)) ** 0.5


def crossed(
    generator: np.random.Generator,
    seeds: int,
    examples: int,
    spreads: tuple[float, float, float],
    tails: int | None = None,
) -> np.ndarray:
    """Differences (seeds, examples); `spreads` of what is common to a seed, to an example, and of the rest."""
    seed, example, rest = spreads
    common = seed * noise(generator, (seeds, 1), tails) + example * noise(generator, (1, examples), tails)
    return common + rest * noise(generator, (seeds, examples), tails)
