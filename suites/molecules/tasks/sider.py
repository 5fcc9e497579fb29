"""SIDER (MoleculeNet, your folder): side effects of drugs in 27 organ classes."""

from ...contracts.context import Target
from ..task import MoleculeNetTask


class Sider(MoleculeNetTask):
    """1,427 drugs, 27 labels."""

    version = "2"
    group = "physiology"
    sources = ("moleculenet",)
    target = Target("multilabel", 27)
    key = "sider"
