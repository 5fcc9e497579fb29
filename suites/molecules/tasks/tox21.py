"""Tox21 (MoleculeNet, your folder): twelve toxicity assays, labels missing."""

from ...contracts.context import Target
from ..task import MoleculeNetTask


class Tox21(MoleculeNetTask):
    """7,831 rows; about one label in six is missing."""

    version = "2"
    group = "physiology"
    sources = ("moleculenet",)
    target = Target("multilabel", 12)
    key = "tox21"
