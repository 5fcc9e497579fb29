"""MUV (MoleculeNet, your folder): 17 screens with few actives, labels missing."""

from ...contracts.context import Target
from ..task import MoleculeNetTask


class Muv(MoleculeNetTask):
    """93,087 molecules; minutes per cell."""

    version = "2"
    group = "biophysics"
    sources = ("moleculenet",)
    target = Target("multilabel", 17)
    key = "muv"
