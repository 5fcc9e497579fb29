"""Distances of distributions: of logP, SA, QED and molecular weight, and of ChemNet's activations (FCD).

Preuer et al., J. Chem. Inf. Model. 2018, 58, 1736.
"""

from collections.abc import Sequence

import numpy as np
from rdkit import Chem
from scipy.stats import wasserstein_distance

from sparsebench.data.molecules.properties import PROPERTIES, properties
from sparsebench.reports.records.record import Metric

UNITS = {"logP": "", "SA": "", "QED": "", "weight": "Da"}


def property_values(molecules: Sequence[Chem.Mol]) -> dict[str, np.ndarray]:
    """Values by MOSES's name, float64 (molecules,) each; a molecule without a value is excluded."""
    rows = np.array([properties(molecule) for molecule in molecules]).reshape(-1, len(PROPERTIES))
    known = rows[np.isfinite(rows).all(1)]
    columns = dict(zip(PROPERTIES, known.T, strict=True))
    return {"logP": columns["logp"], "SA": columns["sa"], "QED": columns["qed"], "weight": columns["mw"]}


def wasserstein(
    values: Sequence[float] | np.ndarray, reference: Sequence[float] | np.ndarray, unit: str = ""
) -> Metric:
    """First Wasserstein distance of two samples, in their unit. Raises ValueError when one is empty.

    Two samples of one distribution are some 1 / sqrt(N) standard deviations apart, not 0.
    """
    distance = wasserstein_distance(np.asarray(values), np.asarray(reference))
    return Metric(value=float(distance), n=len(values), higher_is_better=False, unit=unit)


def frechet_chemnet_distance(activations: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> Metric:
    """Distance of the normal distribution of ChemNet activations (N, D) to the one with ``mean`` and ``covariance``.

    Few molecules bias it upwards, for drug-like ones by 1,240 / N: compare FCDs of equal N only. Raises ValueError for
    N < 2.
    """
    if len(activations) < 2:
        raise ValueError(f"a covariance needs two molecules; there are {len(activations)}")
    value = frechet_distance(*gaussian(activations), mean, covariance)
    return Metric(value=value, n=len(activations), higher_is_better=False, unit="")


def gaussian(activations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (D,) and unbiased covariance (D, D) of activations (N, D), in float64."""
    activations = np.asarray(activations, dtype=np.float64)
    return activations.mean(0), np.cov(activations, rowvar=False)


def frechet_distance(mean_a: np.ndarray, cov_a: np.ndarray, mean_b: np.ndarray, cov_b: np.ndarray) -> float:
    """|mean_a - mean_b|^2 + trace(cov_a + cov_b - 2 (cov_a cov_b)^(1/2)): the square of a distance, as published.

    The trace of the root of the product is the sum of the singular values of cov_a^(1/2) cov_b^(1/2): no complex root,
    and singular covariances (fewer molecules than dimensions) need no special case.
    """
    difference = np.asarray(mean_a, dtype=np.float64) - np.asarray(mean_b, dtype=np.float64)
    overlap = np.linalg.svd(_root(cov_a) @ _root(cov_b), compute_uv=False).sum()
    return max(0.0, float(difference @ difference + np.trace(cov_a) + np.trace(cov_b) - 2 * overlap))


def _root(covariance: np.ndarray) -> np.ndarray:
    """The positive semi-definite square root of a symmetric matrix."""
    values, vectors = np.linalg.eigh(np.asarray(covariance, dtype=np.float64))
    return (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
