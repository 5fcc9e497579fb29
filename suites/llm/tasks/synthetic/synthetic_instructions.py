"""Instruction tuning on made-up questions about letters (smoke test only)"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..._markov import markov_documents
from ...training.instructions import InstructionTask

LETTERS = "abcdefghijkl"
ASKED = {"mathematics": "next", "backwards": "backwards"}
"""How a question of each group begins."""
COUNTS, SEED = {"train": 96, "val": 16, "test": 32}, 29


class Question(NamedTuple):
    """A conversation as `chat.render` takes it."""

    group: str
    name: str
    messages: tuple[tuple[str, str], ...]
    answer: str


@functools.cache
def letter_questions(group: str) -> dict[str, tuple[Question, ...]]:
    """Questions by part: "mathematics" asks for the next letter of a cycle, "backwards" for a few letters reversed.

    There are few different questions, so that those of one part are in another, too: enough to see a model learn.
    """
    generator = np.random.default_rng([SEED, *ASKED[group].encode()])
    found = {}
    for part, count in COUNTS.items():
        found[part] = tuple(_question(group, generator) for _ in range(count))
    return found


def _question(group: str, generator: np.random.Generator) -> Question:
    if group == "mathematics":
        place = int(generator.integers(len(LETTERS)))
        asked = LETTERS[place]
        answer = LETTERS[(place + 1) % len(LETTERS)]
    else:
        asked = "".join(generator.choice(list(LETTERS), size=int(generator.integers(2, 5))))
        answer = asked[::-1]
    return Question(group, "letters", (("system", "Answer in letters."), ("user", f"{ASKED[group]}: {asked}")), answer)


class SyntheticInstructions(InstructionTask):
    """Needs no download: the next letter of a fixed cycle, and two to four letters read backwards."""

    version = "1"
    group = "instruction tuning"
    groups = ("mathematics", "backwards")
    window = 128

    def conversations(self, group: str, part: str) -> Sequence[Question]:
        """96 train, 16 val, 32 test of each group."""
        return letter_questions(group)[part]

    def documents(self, domain: str, part: Any) -> tuple[str, ...]:
        """Text for calibration and for the cost of a token."""
        return markov_documents(part)
