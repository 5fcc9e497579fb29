"""ClinTox (MoleculeNet, your folder): FDA approval and clinical-trial toxicity."""

from ...contracts.context import Target
from ..task import MoleculeNetTask


class ClinTox(MoleculeNetTask):
    """1,478 rows, two labels."""

    version = "2"
    group = "physiology"
    sources = ("moleculenet",)
    target = Target("multilabel", 2)
    key = "clintox"
