"""Examples of unequal length side by side in rows of equal length, each as if it stood alone.

A row says which of its tokens belong together (`sequence_ids`) and counts positions from 0 in each example;
`isolation.py` makes of that what keeps the examples apart. Rows are filled by best-fit decreasing: the longest example
first, each into the fullest row that still has room (Johnson, Near-optimal bin packing algorithms, 1973: at most 11/9
of the fewest rows). No random number is drawn.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch

IGNORED = -100
"""The label of a token whose prediction does not count."""
PADDING = -1
"""The sequence of a token that is padding."""


@dataclass(frozen=True)
class Example:
    """One text as tokens. `labels` are its tokens where their prediction counts, `IGNORED` elsewhere.

    Nothing predicts the first token of an example, so its label is `IGNORED` whatever is given. `name` is what errors
    call it, `source` the data set within its group; `cut` is the number of tokens that its beginning lost. Raises
    ValueError where no label is left.
    """

    name: str
    group: str
    ids: tuple[int, ...]
    labels: tuple[int, ...]
    cut: int = 0
    source: str = ""

    def __post_init__(self) -> None:
        if len(self.ids) != len(self.labels):
            raise ValueError(f"{self.name} has {len(self.ids)} tokens and {len(self.labels)} labels")
        object.__setattr__(self, "labels", (IGNORED, *self.labels[1:]))
        if all(label == IGNORED for label in self.labels):
            raise ValueError(f"{self.name} has no token to learn: all of its {len(self.ids)} tokens are context")

    @property
    def learnt(self) -> int:
        """Number of tokens with a label."""
        return sum(label != IGNORED for label in self.labels)


@dataclass(frozen=True)
class Row:
    """Examples of one group that share a row, in their order there."""

    group: str
    examples: tuple[Example, ...]

    def __len__(self) -> int:
        return sum(len(example.ids) for example in self.examples)


def fitted(example: Example, length: int, longer: Literal["error", "cut"]) -> Example:
    """The example itself where it has at most `length` tokens; of a longer one the end, where the answer stands.

    Raises ValueError, with the example's name, for a longer one where `longer` is "error".
    """
    size = len(example.ids)
    if size <= length:
        return example
    if longer == "error":
        raise ValueError(
            f"{example.name} has {size} tokens, and a row has {length}: take longer rows, or longer='cut', which keeps "
            f"the last {length}"
        )
    ids = example.ids[-length:]
    labels = example.labels[-length:]
    return replace(example, ids=ids, labels=labels, cut=size - length)


def pack(examples: Iterable[Example], length: int, *, longer: Literal["error", "cut"] = "error") -> list[Row]:
    """Rows of at most `length` tokens that hold each example once; a row holds one group, in the order of the groups.

    Raises ValueError for an example that is longer than a row, see `fitted`.
    """
    groups: dict[str, list[Example]] = {}
    for example in examples:
        groups.setdefault(example.group, []).append(fitted(example, length, longer))
    rows = []
    for group, members in groups.items():
        for places in best_fit([len(example.ids) for example in members], length):
            rows.append(Row(group, tuple(members[place] for place in places)))
    return rows


def best_fit(sizes: Sequence[int], length: int) -> list[list[int]]:
    """Which of the sizes share a bin of `length`, by best-fit decreasing; equal sizes keep their order."""
    bins: list[list[int]] = []
    free: list[tuple[int, int]] = []  # room and number of each bin that has some, by room
    for place in sorted(range(len(sizes)), key=lambda place: -sizes[place]):
        found = bisect_left(free, (sizes[place], 0))
        if found < len(free):
            room, number = free.pop(found)
        else:
            room, number = length, len(bins)
            bins.append([])
        bins[number].append(place)
        if room > sizes[place]:
            insort(free, (room - sizes[place], number))
    return bins


def collate(
    rows: Sequence[Row], length: int, device: torch.device, *, side: Literal["right", "left"] = "right"
) -> dict[str, Any]:
    """A batch of packed rows, padded to `length` on the right or on the left.

    `input_ids`, `labels` (`IGNORED` where there is no loss), `position_ids` (from 0 in each example) and `sequence_ids`
    (which example of its row a token belongs to, `PADDING` for padding), all (B, length); `groups`: that of each row.
    """
    shape = (len(rows), length)
    batch = {
        "input_ids": torch.zeros(shape, dtype=torch.int64),  # nobody sees padding: any token will do
        "labels": torch.full(shape, IGNORED),
        "position_ids": torch.zeros(shape, dtype=torch.int64),
        "sequence_ids": torch.full(shape, PADDING),
    }
    for number, row in enumerate(rows):
        place = 0 if side == "right" else length - len(row)
        for sequence, example in enumerate(row.examples):
            span = slice(place, place + len(example.ids))
            batch["input_ids"][number, span] = torch.tensor(example.ids)
            batch["labels"][number, span] = torch.tensor(example.labels)
            batch["position_ids"][number, span] = torch.arange(len(example.ids))
            batch["sequence_ids"][number, span] = sequence
            place = span.stop
    on_device = {name: tensor.to(device) for name, tensor in batch.items()}
    return {**on_device, "groups": tuple(row.group for row in rows)}
