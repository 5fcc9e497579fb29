"""The labelled validation rows of three GLUE tasks, as packaged. Scores on parts of them are no GLUE scores."""

from typing import Any, Literal

from ..text.evalsets import arrow_file
from .table import LabelledTexts, Text, labelled

CLASSES = {
    "sst2": ("negative", "positive"),
    "mrpc": ("not equivalent", "equivalent"),
    "rte": ("entailment", "not entailment"),
}
"""Names of labels 0 and 1, as GLUE numbers them (Wang et al., 2019)."""


def glue_validation(name: Literal["sst2", "mrpc", "rte"]) -> LabelledTexts:
    """SST-2: 872 sentences; MRPC: 408 pairs; RTE: 277 pairs. Classes are numbered by the alphabet, not as in GLUE."""
    import pyarrow

    with arrow_file(name).open("rb") as stream:
        rows = pyarrow.ipc.open_stream(stream).read_all().to_pylist()
    names = CLASSES[name]
    return labelled([_text(row) for row in rows], [names[row["label"]] for row in rows])


def _text(row: dict[str, Any]) -> Text:
    if "sentence" in row:
        return row["sentence"]
    return row["sentence1"], row["sentence2"]
