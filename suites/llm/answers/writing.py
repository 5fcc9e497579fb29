"""A model answers conversations: greedily, by the chat template of its tokenizer or plainly (`training/chat.py`)."""

from collections.abc import Sequence
from typing import Any

import torch

from ..language import CausalLM, encode
from ..training.chat import STOP, prompt_of

MOST_TOKENS = 512
"""Tokens of an answer at most."""


@torch.inference_mode()
def answer(lm: CausalLM, messages: Sequence[tuple[str, str]], most_tokens: int = MOST_TOKENS) -> str:
    """What the model says to messages (role, content), without what ends the turn.

    Raises ValueError for an empty question, and for one that leaves no room in what the model reads.
    """
    model: Any = lm.model
    tokenizer = lm.tokenizer
    ids = encode(tokenizer, prompt_of(messages, tokenizer))
    room = getattr(model.config, "max_position_embeddings", len(ids) + most_tokens) - len(ids)
    if not messages[-1][1].strip():
        raise ValueError("a question without a word cannot be answered")
    if room < 1:
        raise ValueError(f"a question of {len(ids)} tokens leaves no room for an answer in what the model reads")
    device = next(model.parameters()).device
    found = model.generate(
        input_ids=torch.tensor([ids], device=device),
        attention_mask=torch.ones(1, len(ids), dtype=torch.int64, device=device),
        max_new_tokens=min(most_tokens, room),
        do_sample=False,
        pad_token_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id,
    )
    text = tokenizer.decode(found[0, len(ids) :], skip_special_tokens=True)
    if not getattr(tokenizer, "chat_template", None):
        text = text.partition(STOP)[0]  # a plain answer ends where the next speaker begins
    return text.strip()


def converse(lm: CausalLM, turns: Sequence[str], most_tokens: int = MOST_TOKENS) -> list[str]:
    """The answers to the turns of one conversation; each turn is asked after the answer to the one before."""
    messages: list[tuple[str, str]] = []
    answers = []
    for turn in turns:
        messages.append(("user", turn))
        answers.append(answer(lm, messages, most_tokens))
        messages.append(("assistant", answers[-1]))
    return answers
