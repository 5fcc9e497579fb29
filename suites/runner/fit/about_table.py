"""What a score of a table does not say by itself, in words."""

import numpy as np

from sparsebench.data.labelled.dealt import PARTS
from sparsebench.data.own.labelled import OwnTable


def about_one_class(table: OwnTable) -> list[str]:
    """Yes/no columns that have no two classes in some part, by part: the mean ROC-AUC of that part leaves them out."""
    if table.goal != "multilabel":
        return []
    found = []
    for part in PARTS:
        values = table.values[table.rows(part)]
        names = [
            name
            for name, column in zip(table.columns.targets, values.T, strict=True)
            if len(np.unique(column[~np.isnan(column)])) < 2
        ]
        if names:
            found.append(f"{part}: {', '.join(names)}")
    if not found:
        return []
    said = "the score of a part is the mean over its other columns, and of one class alone little is learnt"
    return [f"columns without both classes, by part ({'; '.join(found)}): {said}"]
