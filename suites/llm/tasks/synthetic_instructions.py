"""Instruction tuning on made-up questions about letters (smoke test only)"""

from collections.abc import Sequence
from typing import Any

from ..markov import markov_documents
from ..training.instructions import InstructionTask
from ..training.letter_questions import Question, letter_questions


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
