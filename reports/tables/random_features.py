"""What pre-training is worth on each task: rows on pre-trained weights against a probe on random ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..statistics import Difference, difference
from . import formatting
from .matrix import Column, Matrix, Row


def random_feature_captions(
    matrix: Matrix, pretrained: Sequence[Row], controls: Sequence[Row], names: Mapping[Row, str]
) -> dict[Column, str]:
    """One sentence for each task that has both: whether a pre-trained row is ahead of random features by its interval.

    The strongest control of a task counts. Intervals are corrected over the pre-trained rows that are compared.

    Args:
        matrix: of one suite.
        pretrained: rows that may win and start from pre-trained weights.
        controls: probes on the features of networks of random weights.
        names: how rows are called.

    Returns:
        Sentences by task, in the order of the table; no task where one of the two sides has no score.
    """
    found = {}
    for column in matrix.columns:
        control = matrix.best([row for row in controls if matrix.scores(row, column)], [column])
        if control is None:
            continue
        rows = [row for row in pretrained if row.variant == control.variant and matrix.paired(row, control, [column])]
        gains = {}
        for row in rows:
            alone = difference(matrix.paired(row, control, [column]), column.higher_is_better)
            gains[row] = alone.corrected(len(rows))
        if gains:
            found[column] = _sentence(column, gains, control, names)
    return found


def _sentence(column: Column, gains: Mapping[Row, Difference], control: Row, names: Mapping[Row, str]) -> str:
    """About the largest gain that was shown, else the largest."""
    ahead = [row for row, gain in gains.items() if gain.outcome == "better"]
    first = max(ahead or gains, key=lambda row: gains[row].combined.mean)
    gain = gains[first]
    size = formatting.effect(gain.estimate, column.unit)
    if ahead:
        return f"On {column.task}, {names[first]} is ahead of random features ({names[control]}) by {size}."
    if gain.outcome == "one seed":
        return f"On {column.task}, one seed says nothing of random features ({names[control]})."
    return (
        f"On {column.task}, no pre-trained row is shown to beat random features ({names[control]}): the closest, "
        f"{names[first]}, is {size} from them ({gain.outcome}), so the task says nothing of pre-training."
    )
