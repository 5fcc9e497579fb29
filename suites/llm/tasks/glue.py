"""GLUE in a folder of yours (SPARSEBENCH_GLUE): official training part, tested on the official development part

Wang et al., 2019. The validation part is dealt out of the official training part by a hash of the text; training texts
that are in the development part are excluded. Scores are accuracy with macro F1 for all classes, where GLUE has
Matthews' correlation for CoLA, and Pearson's and Spearman's correlation for STS-B.
"""

import os
from dataclasses import dataclass

from sparsebench.data.labelled.table import Parts, official_parts
from sparsebench.data.own.glue import GlueTask, glue_part
from sparsebench.data.sources import source

from ...contracts.context import Target
from ..encoders.task import TextTask

CHECKS_DATA = True
COLUMNS = ("name", "caption", "glue", "outputs", "val")
ROWS = (
    ("glue_cola", "CoLA: is a sentence acceptable? Official training and development parts", "cola", 2, 500),
    ("glue_mnli", "MNLI: entailed, contradicted or neither? Official parts, the matched one", "mnli", 3, 1000),
    ("glue_mrpc", "MRPC: do two sentences mean the same? Official training and development parts", "mrpc", 2, 400),
    ("glue_qnli", "QNLI: does a sentence answer a question? Official training and development parts", "qnli", 2, 1000),
    ("glue_rte", "RTE: does one text entail the other? Official training and development parts", "rte", 2, 250),
    ("glue_sst2", "SST-2: is a snippet positive? Official training and development parts", "sst2", 2, 500),
    ("glue_stsb", "STS-B: how alike are two sentences? Official training and development parts", "stsb", 1, 500),
)


@dataclass(frozen=True, kw_only=True)
class Glue(TextTask):
    """One row: GLUE's name of the task, its classes (1 for a score), how many training examples choose."""

    name: str
    glue: GlueTask
    outputs: int
    val: int

    version = "1"
    sources = ("glue",)

    @property
    def target(self) -> Target:  # type: ignore[override]
        """Classes, or a score."""
        return Target("classification" if self.outputs > 1 else "regression", self.outputs)

    def check_data(self) -> None:
        """Read both files, if the folder is named. Raises `DataError` for what is wrong with them."""
        if os.environ.get(source("glue").environment):
            self.load()

    def parts(self) -> Parts:
        """The official development part as test; the others by a hash of the text."""
        return official_parts(glue_part(self.glue, "train"), glue_part(self.glue, "dev"), val=self.val)
