"""Labelled texts, equality of texts, and parts that share none."""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

Text = str | tuple[str, str]
"""One text, or a pair of texts that are judged together."""


@dataclass(frozen=True, kw_only=True)
class LabelledTexts:
    """N texts and their targets: class numbers int64 (N,) by the order of ``classes``, or float64 (N, 1) scores."""

    texts: tuple[Text, ...]
    targets: "np.ndarray"
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.texts) != len(self.targets):
            raise ValueError(f"{len(self.texts)} texts, but {len(self.targets)} targets")

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: Sequence[int]) -> "LabelledTexts":
        """These rows, in this order."""
        return LabelledTexts(
            texts=tuple(self.texts[row] for row in rows), targets=self.targets[list(rows)], classes=self.classes
        )


@dataclass(frozen=True)
class Parts:
    """Training, validation and test part; no text is in two of them."""

    train: LabelledTexts
    val: LabelledTexts
    test: LabelledTexts


def labelled(texts: Sequence[Text], labels: Sequence[str]) -> LabelledTexts:
    """Classes from their names, numbered in alphabetical order.

    Args:
        texts: the texts.
        labels: the name of the class of each.

    Returns:
        The table.
    """
    import numpy as np

    classes = tuple(sorted(set(labels)))
    number = {name: index for index, name in enumerate(classes)}
    targets = np.array([number[label] for label in labels], dtype=np.int64)
    return LabelledTexts(texts=tuple(texts), targets=targets, classes=classes)


def normal_form(text: Text) -> str:
    """What two texts are compared by: lower case, every run of white space one blank; a pair is its two lines."""
    if isinstance(text, str):
        return " ".join(text.lower().split())
    return "\n".join(map(normal_form, text))


def distinct(table: LabelledTexts) -> LabelledTexts:
    """The first row of each normal form; texts whose rows disagree on the target are excluded altogether."""
    rows: dict[str, list[int]] = {}
    for row, text in enumerate(table.texts):
        rows.setdefault(normal_form(text), []).append(row)
    agreed = []
    for same in rows.values():
        targets = {str(table.targets[row]) for row in same}
        if len(targets) == 1:
            agreed.append(same[0])
    return table.take(agreed)


def hashed_parts(table: LabelledTexts, *, val: int, test: int, train: int | None = None) -> Parts:
    """Distinct texts, dealt out by a hash of the text.

    Each part is in the order of the hash, so that its first rows are a random sample.

    Args:
        table: all texts.
        val: texts of the validation part.
        test: texts of the test part.
        train: texts of the training part at most; None takes all that are left.

    Returns:
        The three parts.

    Raises:
        ValueError: nothing is left to train on.
    """
    table = _ordered(distinct(table))
    if val + test >= len(table):
        raise ValueError(f"{val} + {test} validation and test texts leave none of {len(table)} for training")
    end = len(table)
    if train is not None:
        end = min(end, val + test + train)
    return Parts(
        train=table.take(range(test + val, end)),
        val=table.take(range(test, test + val)),
        test=table.take(range(test)),
    )


def grouped_parts(table: LabelledTexts, *, val: int, test: int, train: int | None = None) -> Parts:
    """Distinct pairs, dealt out by a hash of their first text, which is then in one part alone.

    Second texts may be in several. Each part is ordered as in `hashed_parts`.

    Args:
        table: pairs of texts.
        val: pairs of the validation part, or more: as many as complete the last first text.
        test: pairs of the test part, or more.
        train: pairs of the training part at most; None takes all that are left.

    Returns:
        The three parts.

    Raises:
        ValueError: nothing is left to train on.
    """
    table = _ordered(distinct(table))
    groups: dict[str, list[int]] = {}
    for row, (first, _) in enumerate(table.texts):
        groups.setdefault(normal_form(first), []).append(row)
    waiting = sorted(groups, key=_digest)
    parts: list[list[int]] = []
    for least in (test, val):
        part: list[int] = []
        while waiting and len(part) < least:
            part += groups[waiting.pop()]
        parts.append(sorted(part))
    rest = sorted(row for form in waiting for row in groups[form])[:train]
    if not rest:
        raise ValueError(f"{val} + {test} validation and test pairs leave none of {len(table)} for training")
    return Parts(train=table.take(rest), val=table.take(parts[1]), test=table.take(parts[0]))


def official_parts(training: LabelledTexts, test: LabelledTexts, *, val: int, train: int | None = None) -> Parts:
    """The official test part, every row; its texts are not in the training part.

    Parts are ordered as in `hashed_parts`.

    Args:
        training: the official training part, which gives both others.
        test: the official test part.
        val: texts of the validation part.
        train: texts of the training part at most; None takes all that are left.

    Returns:
        The three parts.
    """
    tested = {normal_form(text) for text in test.texts}
    rest = hashed_parts(_without(training, tested), val=val, test=0, train=train)
    return Parts(rest.train, rest.val, _ordered(test))


def _without(table: LabelledTexts, forms: Collection[str]) -> LabelledTexts:
    return table.take([row for row, text in enumerate(table.texts) if normal_form(text) not in forms])


def _ordered(table: LabelledTexts) -> LabelledTexts:
    return table.take(sorted(range(len(table)), key=lambda row: _digest(normal_form(table.texts[row]))))


def _digest(form: str) -> bytes:
    return hashlib.sha256(form.encode()).digest()
