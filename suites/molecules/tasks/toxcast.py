"""ToxCast (MoleculeNet, your folder): 617 toxicity assays, labels missing."""

from ...contracts.context import Target
from ..task import MoleculeNetTask


class ToxCast(MoleculeNetTask):
    """8,576 rows; seven in ten labels are missing."""

    version = "2"
    group = "physiology"
    sources = ("moleculenet",)
    target = Target("multilabel", 617)
    key = "toxcast"
