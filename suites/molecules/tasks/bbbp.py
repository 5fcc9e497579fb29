"""BBBP (MoleculeNet, your folder): passes the blood-brain barrier (Martins et al., 2012)."""

from ...contracts.context import Target
from ..task import MoleculeNetTask


class Bbbp(MoleculeNetTask):
    """2,039 rows, one label."""

    version = "2"
    group = "physiology"
    sources = ("moleculenet",)
    target = Target("multilabel", 1)
    key = "bbbp"
