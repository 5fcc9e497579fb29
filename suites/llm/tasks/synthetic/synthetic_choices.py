"""Which letter follows? Four options for a made-up rule of letters (smoke test only)"""

from typing import Any

import numpy as np

from sparsebench.data.labelled.questions import Question, QuestionParts

from ..._markov import markov_documents
from ...multiple_choice.choice_task import ChoiceTask

LETTERS = "abcdefghijkl"
OPTIONS, TRAIN, VAL, TEST, SEED = 4, 48, 16, 32, 11


class SyntheticChoices(ChoiceTask):
    """Needs no download: the answer to a letter is the next one of a fixed cycle, written once to three times."""

    version = "1"

    def questions(self) -> QuestionParts:
        """48 train, 16 val, 32 test."""
        generator = np.random.default_rng(SEED)
        drawn = [_question(generator) for _ in range(TRAIN + VAL + TEST)]
        return QuestionParts(drawn[:TRAIN], drawn[TRAIN : TRAIN + VAL], drawn[TRAIN + VAL :])

    def documents(self, domain: str, part: Any) -> tuple[str, ...]:
        """Text for the cost of a token."""
        return markov_documents(part)


def _question(generator: np.random.Generator) -> Question:
    asked = int(generator.integers(len(LETTERS)))
    right = (asked + 1) % len(LETTERS)
    others = generator.permutation([index for index in range(len(LETTERS)) if index != right])[: OPTIONS - 1]
    order = generator.permutation([right, *others])
    options = tuple(LETTERS[index] * int(generator.integers(1, 4)) for index in order)
    return Question(f"{LETTERS[asked]} Answer:", options, int(np.flatnonzero(order == right)[0]))
