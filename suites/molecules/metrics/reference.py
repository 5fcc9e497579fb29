"""What the metrics of MOSES must know of the molecules that new ones are compared with, for a set of one's own."""

from collections.abc import Sequence
from typing import Any

from sparsebench.models.molecules.chemnet import ChemNet

from .counters import fragments, scaffolds
from .distributions import gaussian, property_values
from .fingerprints import morgan
from .reading import read


def reference_statistics(smiles: Sequence[str], chemnet: ChemNet) -> dict[str, Any]:
    """The same as `moses_statistics` gives of MOSES's test part, computed from molecules.

    Args:
        smiles: two valid molecules or more; others are passed over, as in `moses_metrics`.
        chemnet: the network whose activations FCD compares.

    Returns:
        By the metric's name: FCD (`mu`, `sigma`), SNN (`fps`), Frag (`frag`), Scaf (`scaf`), and of logP, SA, QED and
        weight the `values`.

    Raises:
        ValueError: fewer than two valid molecules.
    """
    entries = read(smiles)
    if len(entries.smiles) < 2:
        raise ValueError(f"statistics need two valid molecules; there are {len(entries.smiles)}")
    mean, covariance = gaussian(chemnet.activations(entries.smiles).numpy())
    found: dict[str, Any] = {
        "FCD": {"mu": mean, "sigma": covariance},
        "SNN": {"fps": morgan(entries.molecules)},
        "Frag": {"frag": fragments(entries.molecules)},
        "Scaf": {"scaf": scaffolds(entries.molecules)},
    }
    return found | {name: {"values": values} for name, values in property_values(entries.molecules).items()}
