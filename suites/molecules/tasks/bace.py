"""BACE (MoleculeNet, your folder): inhibitors of human beta-secretase 1."""

from ...contracts.context import Target
from ..task import MoleculeNetTask


class Bace(MoleculeNetTask):
    """1,513 molecules, one label."""

    version = "2"
    group = "biophysics"
    sources = ("moleculenet",)
    target = Target("multilabel", 1)
    key = "bace"
