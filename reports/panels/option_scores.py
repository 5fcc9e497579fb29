"""What rows say of every option of a question: how likely the right one is, and how far a row is from the first one.

The JSON: `{"gold": [int, ...], "scores": ["<score> <score> ...", ...]}`, a text per question with the score of each
option in nats. The options get probabilities by a softmax over their scores. A row that was scored on the same
questions as the first row of the table is compared with it: the divergence KL(first row || row) of the probabilities,
and the fraction of questions in which both take the same option.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..figures import Figure, Words, plots
from ..records.record import RecordError
from ..tables import formatting
from .panel import Entry, TaskPanel

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

KEY = "option_scores"
TITLES = ("row", "questions", "gold NLL", "margin", "KL from the first row", "same option")
LEGEND = (
    "One seed, ± one standard error over questions. Gold NLL: negative log-probability of the right option among the "
    "options, in nats. Margin: its score less that of the best other option. KL and same option compare with the "
    "first row of the table on the same questions: how much a change of the model moves its answers, right or wrong."
)


@dataclass(frozen=True)
class OptionScores:
    """Scores of the options of each question in nats, and the number of the right one.

    Raises RecordError for a question with less than two options, without its right one, or a score that is not finite.
    """

    scores: tuple[tuple[float, ...], ...]
    gold: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.gold or len(self.scores) != len(self.gold):
            raise RecordError(f"{len(self.scores)} questions with options, {len(self.gold)} with a right one")
        for options, gold in zip(self.scores, self.gold, strict=True):
            if len(options) < 2 or not 0 <= gold < len(options) or not all(map(math.isfinite, options)):
                raise RecordError(f"option {gold} of the scores {options}: two finite ones and the right one at least")

    def gold_nll(self) -> NDArray[np.floating]:
        """Negative log-probability of the right option of each question, in nats."""
        import numpy as np

        return self._by_question(lambda options, gold: np.logaddexp.reduce(options) - options[gold])

    def margins(self) -> NDArray[np.floating]:
        """Score of the right option less that of the best other one, in nats."""
        return self._by_question(lambda options, gold: options[gold] - max(options[:gold] + options[gold + 1 :]))

    def divergence_from(self, other: OptionScores) -> NDArray[np.floating]:
        """KL(other || self) of the options' probabilities of each question, in nats. Of the same questions only."""
        import numpy as np

        found = []
        for mine, theirs in zip(self.scores, other.scores, strict=True):
            own_O, their_O = (np.asarray(options) - np.logaddexp.reduce(options) for options in (mine, theirs))
            found.append(max(0.0, float((np.exp(their_O) * (their_O - own_O)).sum())))
        return np.asarray(found)

    def agreement(self, other: OptionScores) -> float:
        """Fraction of questions in which both take the same option. Of the same questions only."""
        same = 0
        for mine, theirs in zip(self.scores, other.scores, strict=True):
            same += mine.index(max(mine)) == theirs.index(max(theirs))
        return same / len(self.gold)

    def same_questions(self, other: OptionScores) -> bool:
        """Whether both have the same right options of as many."""
        return self.gold == other.gold and list(map(len, self.scores)) == list(map(len, other.scores))

    def _by_question(self, measure: Any) -> NDArray[np.floating]:
        import numpy as np

        pairs = zip(self.scores, self.gold, strict=True)
        return np.asarray([measure(options, gold) for options, gold in pairs])


def to_details(found: OptionScores) -> dict[str, Any]:
    """The entry of a record's details."""
    texts = [" ".join(f"{score:.5g}" for score in options) for options in found.scores]
    return {KEY: {"gold": list(found.gold), "scores": texts}}


class OptionScoresPanel(TaskPanel[OptionScores]):
    """The gold NLL as bars, one figure a task; the rest in words."""

    key = KEY
    title = "Likelihood of every option"
    legend = LEGEND

    def parse(self, value: Any) -> OptionScores:
        """What one record says."""
        scores = tuple(tuple(map(float, text.split())) for text in value["scores"])
        return OptionScores(scores, tuple(value["gold"]))

    def figures(self, task: str, entries: Sequence[Entry[OptionScores]]) -> Iterator[Figure]:
        """Bars with one standard error."""
        marks = []
        for entry in entries:
            nll_N = entry.value.gold_nll()
            error = _error(nll_N)
            marks.append(entry.mark(float(nll_N.mean()), None if error is None else (error, error)))
        words = Words(TITLES, tuple(_row(entry, entries[0]) for entry in entries))
        yield Figure(task, plots.bars(marks, f"Gold NLL on {task}", "nats"), words=words)


def _row(entry: Entry[OptionScores], first: Entry[OptionScores]) -> tuple[str, ...]:
    value = entry.value
    compared = ("–", "–")
    if entry is not first and value.same_questions(first.value):
        same = formatting.per_cent(value.agreement(first.value))
        compared = (_mean(value.divergence_from(first.value)), same)
    return (entry.title, str(len(value.gold)), _mean(value.gold_nll()), _mean(value.margins()), *compared)


def _mean(values_N: NDArray[np.floating]) -> str:
    mean = formatting.number(float(values_N.mean()))
    error = _error(values_N)
    return mean if error is None else f"{mean} ± {formatting.number(error)}"


def _error(values_N: NDArray[np.floating]) -> float | None:
    """Standard error of the mean; None of one question."""
    return None if len(values_N) < 2 else float(values_N.std(ddof=1)) / math.sqrt(len(values_N))


PANEL = OptionScoresPanel()
