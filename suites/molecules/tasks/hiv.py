"""HIV (MoleculeNet, your folder): inhibition of HIV replication."""

from ...contracts.context import Target
from ..task import MoleculeNetTask


class Hiv(MoleculeNetTask):
    """41,127 molecules, one label; minutes per cell."""

    version = "2"
    group = "biophysics"
    sources = ("moleculenet",)
    target = Target("multilabel", 1)
    key = "hiv"
