"""Distances of the distributions of four properties: logP, SA, QED and molecular weight."""

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
