"""Lipophilicity (MoleculeNet, your folder): log D at pH 7.4."""

from ...contracts.context import Target
from ..task import MoleculeNetTask


class Lipophilicity(MoleculeNetTask):
    """4,200 molecules."""

    version = "2"
    group = "physical chemistry"
    sources = ("moleculenet",)
    target = Target("regression", 1)
    key = "lipop"
