"""lm-evaluation-harness's Hugging Face model, with each context computed once for all of its continuations.

The harness scores every (context, continuation) pair by itself, so a question with four answers is read four times.
Here the pairs that share a context form a tree, and several trees share one sequence: the attention mask keeps branches
and trees apart, and positions count along each branch. The log-likelihoods are those of the harness, up to rounding.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from lm_eval.models import huggingface
from torch import Tensor

HFLM: Any = huggingface.HFLM  # the harness's decorator hides its type

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


class PackedLM(HFLM):
    """HFLM for decoders of transformers that take a 4-D attention mask; it can only score, not generate."""

    def _loglikelihood_tokens(
        self, requests: list[Request], disable_tqdm: bool = False, override_bs: int | None = None
    ) -> list[tuple[float, bool]]:
        """Log-likelihood in nats of each continuation, and whether it is what greedy decoding gives."""
        answers: list[tuple[float, bool]] = [(0.0, False)] * len(requests)
        for pack in packs(requests, self.max_length):
            for (request, _), answer in zip(pack.continuations, self._score(pack), strict=True):
                answers[request] = answer
        return answers

    @torch.inference_mode()
    def _score(self, pack: Pack) -> Iterator[tuple[float, bool]]:
        model = self.model
        hidden = ~pack.mask().to(self.device)
        mask = torch.zeros(hidden.shape, dtype=model.dtype, device=self.device)
        logits = model(
            input_ids=torch.tensor([pack.ids], device=self.device),
            attention_mask=mask.masked_fill_(hidden, torch.finfo(model.dtype).min)[None, None],
            position_ids=torch.tensor([pack.position], device=self.device),
            logits_to_keep=torch.tensor(pack.keep, device=self.device),
            use_cache=False,
        ).logits[0]
        targets = torch.tensor([token for _, tokens in pack.continuations for token in tokens], device=self.device)
        lengths = [len(tokens) for _, tokens in pack.continuations]
        chosen = logits.float().log_softmax(-1).gather(-1, targets[:, None])[:, 0].split(lengths)
        greedy = (logits.argmax(-1) == targets).split(lengths)
        return iter([(float(c.sum()), bool(g.all())) for c, g in zip(chosen, greedy, strict=True)])


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
