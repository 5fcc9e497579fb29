"""Texts that share their beginning in one sequence, so that a question is read once for all of its answers.

The pairs of context and continuation that share a context form a tree, and several trees share one sequence: the
attention mask keeps branches and trees apart, and positions count along each branch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

MAX_TOKENS = 256
"""Trees share a sequence up to this many tokens; a larger tree has its own."""

Request = tuple[tuple[str, str], list[int], list[int]]
"""Texts of context and continuation, and the tokens of each, as the harness hands them over."""


@dataclass
class Pack:
    """Trees in one sequence. Branch 0 of a tree is its context, branches 1, 2, ... are its continuations."""

    ids: list[int] = field(default_factory=list)
    tree: list[int] = field(default_factory=list)
    branch: list[int] = field(default_factory=list)
    position: list[int] = field(default_factory=list)
    keep: list[int] = field(default_factory=list)
    """Places whose logits predict a continuation's tokens, continuation by continuation."""
    continuations: list[tuple[int, list[int]]] = field(default_factory=list)
    """Number of the request and tokens, in the order of `keep`."""

    def add(self, context: Sequence[int], continuations: Sequence[tuple[int, list[int]]]) -> None:
        """Append a tree. The last token of a continuation is predicted, but predicts nothing."""
        tree, last = len(self.continuations), len(self.ids) + len(context) - 1
        self._append(tree, 0, context, 0)
        for branch, (request, tokens) in enumerate(continuations, start=1):
            begin = len(self.ids)
            self._append(tree, branch, tokens[:-1], len(context))
            self.keep += [last, *range(begin, len(self.ids))]
            self.continuations.append((request, tokens))

    def _append(self, tree: int, branch: int, tokens: Sequence[int], position: int) -> None:
        self.ids += tokens
        self.tree += [tree] * len(tokens)
        self.branch += [branch] * len(tokens)
        self.position += range(position, position + len(tokens))

    def mask(self) -> Tensor:
        """Who sees whom, (T, T): a token sees those before it in its own branch and in the context of its tree."""
        tree, branch = torch.tensor(self.tree), torch.tensor(self.branch)
        same_tree = tree[:, None] == tree[None]
        on_path = (branch[None] == 0) | (branch[:, None] == branch[None])
        return (same_tree & on_path).tril()


def token_scores(model: Any, pack: Pack) -> tuple[Tensor, Tensor]:
    """Log-probability in nats, float32 (K,), of the continuations' tokens, in the order of `Pack.keep`.

    Also whether each token (K,) is what greedy decoding gives. `model` is a decoder of transformers that takes a 4-D
    attention mask.
    """
    device = next(model.parameters()).device
    hidden = ~pack.mask().to(device)
    mask = torch.zeros(hidden.shape, dtype=_computes_in(model, device), device=device)
    logits = model(
        input_ids=torch.tensor([pack.ids], device=device),
        attention_mask=mask.masked_fill_(hidden, torch.finfo(mask.dtype).min)[None, None],
        position_ids=torch.tensor([pack.position], device=device),
        logits_to_keep=torch.tensor(pack.keep, device=device),
        use_cache=False,
    ).logits[0]
    targets = torch.tensor([token for _, tokens in pack.continuations for token in tokens], device=device)
    chosen = logits.float().log_softmax(-1).gather(-1, targets[:, None])[:, 0]
    return chosen, logits.argmax(-1) == targets


def _computes_in(model: Any, device: torch.device) -> torch.dtype:
    """The type of the attention scores that the mask is added to."""
    return torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else model.dtype


def packs(requests: Sequence[Request], max_length: int) -> Iterator[Pack]:
    """All requests, grouped by context in order of appearance. Raises `ValueError` for one that is too long."""
    trees: dict[tuple[int, ...], list[tuple[int, list[int]]]] = {}
    for number, (_, context, continuation) in enumerate(requests):
        if len(context) + len(continuation) > max_length + 1:
            length = len(context) + len(continuation)
            raise ValueError(f"a test example has {length} tokens; this model reads at most {max_length}")
        trees.setdefault(tuple(context), []).append((number, continuation))
    pack = Pack()
    for context, continuations in trees.items():
        size = len(context) + sum(len(tokens) - 1 for _, tokens in continuations)
        if pack.ids and len(pack.ids) + size > MAX_TOKENS:
            yield pack
            pack = Pack()
        pack.add(context, continuations)
    if pack.ids:
        yield pack
