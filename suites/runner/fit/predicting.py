"""Predictions of a fitted row for new data: a row of the result for each row that came in, with its status."""

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from ..errors import UsageError
from .conversations import predict_answers
from .inputs import Input, new_data
from .saved import Description, Fitted, open_fitted, read_description

FORMS = (".csv", ".parquet")


def predict(fitted: Path | str, data: Path | str) -> pd.DataFrame:
    """Predict new data with the row that `fit` saved.

    Args:
        fitted: the folder that `fit` made.
        data: a table of texts or molecules; a folder of images or one image; a file of conversations.

    Returns:
        A row for each row or file, in order: what came in, `status` (ok, unreadable, refused), `reason`; of classes
        `prediction`, `probability` and the probability of each class; of numbers `predicted NAME`, of yes or no
        `probability NAME`; of conversations see `predict_answers`. Of a table, `attrs["inputs"]` names
        the column of the inputs.

    Raises:
        UsageError: no fitted row, no data.
        DataError: a table that cannot be read.

    Example:
        >>> predict("fit-mydata", "new.csv")  # doctest: +SKIP
    """
    if read_description(Path(fitted)).kind == "conversations":
        return predict_answers(Path(fitted), Path(data))
    found = open_fitted(Path(fitted))
    new = new_data(Path(data), found.about.kind, found.about.input)
    statuses: list[str] = []
    reasons: list[str] = []
    outputs: list[Tensor] = []
    for chunk in new.chunks():
        kept, said = _statuses(found, chunk)
        statuses += [status for status, _ in said]
        reasons += [reason for _, reason in said]
        values = torch.full((len(chunk), found.about.outputs), torch.nan)
        if kept:
            values[kept] = found.outputs([chunk[row].value for row in kept])
        outputs.append(values)
    results = {"status": statuses, "reason": reasons, **_columns(found.about, torch.cat(outputs))}
    frame = pd.DataFrame({**_given(new.columns, results), **results})
    if new.column:
        frame.attrs["inputs"] = new.column
    return frame


def _given(columns: Mapping[str, Sequence[str]], results: Mapping[str, Any]) -> dict[str, Sequence[str]]:
    """What came in, under names that the results do not have: it may be the predictions of two other rows."""
    found: dict[str, Sequence[str]] = {}
    for name, column in columns.items():
        while name in results or name in found:
            name = f"{name} (given)"
        found[name] = column
    return found


def write_predictions(frame: pd.DataFrame, out: Path) -> None:
    """Write predictions as CSV or Parquet, by the ending; whole or not at all.

    Args:
        frame: the predictions.
        out: a new file.

    Raises:
        UsageError: another ending, or a file that is there.
    """
    check_out(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.{secrets.token_hex(4)}")
    try:
        if out.suffix == ".csv":
            frame.to_csv(partial, index=False)
        else:
            frame.to_parquet(partial, index=False)
        partial.rename(out)
    finally:
        partial.unlink(missing_ok=True)


def check_out(out: Path) -> None:
    """Raises `UsageError` for a file that cannot be written as predictions."""
    if out.suffix not in FORMS:
        raise UsageError(f"{out}: predictions are written as {' or '.join(FORMS)}")
    if out.exists():
        raise UsageError(f"{out} is there already: remove it, or name another file")


def _statuses(found: Fitted, chunk: Sequence[Input]) -> tuple[list[int], list[tuple[str, str]]]:
    """Rows of a chunk that the model takes, and status and reason of each row."""
    readable = [row for row, one in enumerate(chunk) if one.value is not None]
    said = [("ok", "") if one.value is not None else ("unreadable", one.reason) for one in chunk]
    if not found.body.padded or not readable:
        return readable, said
    kept = []
    for row, item in zip(readable, found.body.encode([chunk[row].value for row in readable]), strict=True):
        if len(item):
            kept.append(row)
        else:
            said[row] = ("refused", "the encoder does not know what is in it, or it is too large")
    return kept, said


def _columns(about: Description, outputs: Tensor) -> dict[str, Any]:
    """Outputs (N, outputs), NaN where there is no prediction, as columns."""
    if about.goal == "regression":
        return {f"predicted {name}": outputs[:, place].tolist() for place, name in enumerate(about.targets)}
    if about.goal == "multilabel":
        chances = outputs.double().sigmoid()
        return {f"probability {name}": chances[:, place].tolist() for place, name in enumerate(about.targets)}
    chances = outputs.double().softmax(dim=1)
    known = ~chances.isnan().any(dim=1)
    best = chances.nan_to_num(0.0).argmax(dim=1).tolist()
    columns: dict[str, Any] = {
        "prediction": [about.classes[place] if here else "" for place, here in zip(best, known.tolist(), strict=True)],
        "probability": chances.amax(dim=1).tolist(),
    }
    for place, name in enumerate(about.classes):
        columns[f"p({name})"] = chances[:, place].tolist()
    return columns
