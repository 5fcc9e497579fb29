"""ESOL (MoleculeNet, your folder): aqueous solubility, log10(mol/L) (Delaney, 2004)."""

from ...contracts.context import Target
from ..task import MoleculeNetTask


class Esol(MoleculeNetTask):
    """1,128 molecules."""

    version = "2"
    group = "physical chemistry"
    sources = ("moleculenet",)
    target = Target("regression", 1)
    key = "esol"
