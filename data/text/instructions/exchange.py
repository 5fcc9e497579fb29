"""A prompt with its answer, and the part that the prompt belongs to."""

import hashlib
from dataclasses import dataclass
from typing import Literal, get_args

Part = Literal["train", "val", "test"]
PARTS: tuple[str, ...] = get_args(Part)

TENTHS = ("test", "val")
"""Parts that get a tenth of the prompts each; "train" gets the rest."""


@dataclass(frozen=True)
class Exchange:
    """One instruction example.

    Args:
        group: the group of data sets.
        name: the data set in the group.
        messages: role ("system", "user" or "assistant") and content of each message before the answer.
        answer: what the assistant says then.
    """

    group: str
    name: str
    messages: tuple[tuple[str, str], ...]
    answer: str

    @property
    def prompt(self) -> str:
        """What all messages say, without their roles: what is compared with other texts."""
        return "\n".join(content for _, content in self.messages)

    @property
    def digest(self) -> bytes:
        """Equal for prompts that differ in case and white space only."""
        return hashlib.sha256(" ".join(self.prompt.lower().split()).encode()).digest()


def part_of(digest: bytes) -> str:
    """The part of a prompt: by its digest's first bytes, so that equal prompts of any set are in one part."""
    tenth = int.from_bytes(digest[:4], "big") % 10
    if tenth < len(TENTHS):
        return TENTHS[tenth]
    return "train"


def draw_of(digest: bytes) -> bytes:
    """What decides which prompts of a giant set stay: other bytes than those that choose the part."""
    return digest[4:]


def place_of(digest: bytes) -> bytes:
    """What prompts are ordered by: bytes that nothing before depends on, or the sample of a giant set would lead."""
    return digest[16:]
