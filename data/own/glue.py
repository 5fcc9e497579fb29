"""GLUE as its authors publish it, in a folder of the user's: training and development parts, one table of tabs each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import TableError
from ..labelled.table import LabelledTexts, Text, labelled
from ..local_folders import note_unpinned
from ..sources import ensure

SOURCE = "glue"
GlueTask = Literal["cola", "sst2", "mrpc", "stsb", "rte", "qnli", "mnli"]


@dataclass(frozen=True)
class Form:
    """How the files of a task are laid out: their folder, the columns of the texts, that of the label and its names."""

    folder: str
    texts: tuple[str, ...]
    label: str
    classes: Mapping[str, str] | None
    """Label as written -> name of the class; None for a score."""
    columns: tuple[str, ...] = ()
    """Names of the columns where the file has no line of them."""
    dev: str = "dev"


_ENTAILS = {"entailment": "entailment", "not_entailment": "not entailment"}
_MNLI = {name: name for name in ("contradiction", "entailment", "neutral")}
FORMS: Mapping[GlueTask, Form] = {
    "cola": Form(
        "CoLA",
        ("sentence",),
        "label",
        {"0": "unacceptable", "1": "acceptable"},
        columns=("source", "label", "mark", "sentence"),
    ),
    "sst2": Form("SST-2", ("sentence",), "label", {"0": "negative", "1": "positive"}),
    "mrpc": Form("MRPC", ("#1 String", "#2 String"), "Quality", {"0": "not equivalent", "1": "equivalent"}),
    "stsb": Form("STS-B", ("sentence1", "sentence2"), "score", None),
    "rte": Form("RTE", ("sentence1", "sentence2"), "label", _ENTAILS),
    "qnli": Form("QNLI", ("question", "sentence"), "label", _ENTAILS),
    "mnli": Form("MNLI", ("sentence1", "sentence2"), "gold_label", _MNLI, dev="dev_matched"),
}
"""QQP is not among them: its published training file has broken lines."""


def glue_part(name: GlueTask, part: Literal["train", "dev"], folder: Path | str | None = None) -> LabelledTexts:
    """The labelled rows of a part, in the order of its file; MNLI's development part is the matched one.

    Args:
        name: of the task.
        part: "train" or "dev"; GLUE keeps the labels of its test parts.
        folder: with a folder for each task; None is `SPARSEBENCH_GLUE`.

    Returns:
        Sentences or pairs with classes, or with scores from 0 to 5 for STS-B.

    Raises:
        LocalFolderError: there is no such folder.
        TableError: a missing file, or a line that is not as GLUE has it.
    """
    import numpy as np

    form = FORMS[name]
    place = ensure(SOURCE, folder)
    file = place / form.folder / f"{form.dev if part == 'dev' else part}.tsv"
    if not file.is_file():
        raise TableError(f"the GLUE folder {place} has no file {file.relative_to(place)}")
    note_unpinned(SOURCE, place, file)
    texts: list[Text] = []
    labels: list[str] = []
    for where, row in _rows(file, form.columns):
        texts.append(_text(where, row, form.texts))
        labels.append(_field(where, row, form.label))
        if form.classes is not None and labels[-1] not in form.classes:
            raise TableError(f"{where}: {form.label} {labels[-1]!r} is none of {', '.join(form.classes)}")
    if not texts:
        raise TableError(f"{file} has no row")
    if form.classes is None:
        return LabelledTexts(texts=tuple(texts), targets=np.array([_scores(file, labels)]).T)
    return labelled(texts, [form.classes[label] for label in labels])


def _rows(file: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Where a row is, and its fields by the name of the column. Quotes are characters as any other."""
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise TableError(f"{file} is no text in UTF-8: {error.reason}") from error
    for number, line in enumerate(lines, start=1):
        fields = line.rstrip("\r").split("\t")
        where = f"{file}, line {number}"
        if not columns:
            columns = fields
        elif line and len(fields) != len(columns):
            raise TableError(f"{where}: {len(fields)} fields, but {len(columns)} columns")
        elif line:
            yield where, dict(zip(columns, fields, strict=True))


def _text(where: str, row: Mapping[str, str], columns: tuple[str, ...]) -> Text:
    found = [_field(where, row, column) for column in columns]
    return found[0] if len(found) == 1 else (found[0], found[1])


def _field(where: str, row: Mapping[str, str], column: str) -> str:
    if not row.get(column, "").strip():
        raise TableError(f"{where}: nothing in the column {column!r}")
    return row[column]


def _scores(file: Path, labels: Sequence[str]) -> list[float]:
    import numpy as np

    try:
        scores = [float(label) for label in labels]
    except ValueError as error:
        raise TableError(f"{file}: a score is no number: {error}") from error
    if not np.isfinite(scores).all():
        raise TableError(f"{file}: a score is not finite")
    return scores
