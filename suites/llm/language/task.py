"""Protocol of the language tasks: load a causal LM, let the method convert it, evaluate it, count its costs.

Nothing trains here unless a task brings training data (`multiple_choice/choice_task.py`). A method sees calibration
windows, drawn again for each seed from the calibration half of a fixed list of text domains, and the same for every
method and task of that seed. The test halves share no document with them.
"""

import itertools
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from sparsebench.data.cache.ledger import cached_reads
from sparsebench.data.text.documents import origins, passages
from sparsebench.data.text.windows import Tokenizer, encode, numbered_windows, windows
from sparsebench.models.precision import cast

from ...contracts.context import Context, Target
from ...contracts.metrics import Scores
from ...contracts.task import CostCall, LoadBackbone, Setup, Task
from ...contracts.traits import CALIBRATION_DATA, CAUSAL, READY_HEAD, own_traits
from ...contracts.vocabulary import vocabulary

CALIBRATION_DOMAINS = ("encyclopedic", "code", "law")
CALIBRATION_WINDOW = 256
"""Tokens in one calibration example."""
COST_WINDOW = 64
"""Tokens of the one forward pass whose operations and CPU time are reported per token."""
SEPARATOR = "\n\n"
"""What stands between two documents in a token stream."""


@dataclass(frozen=True)
class CausalLM:
    """A language model as a backbone gives it: `model(input_ids=...)` has `.logits`, and its fast tokenizer."""

    model: nn.Module
    tokenizer: Any


@own_traits.register
def _(loaded: CausalLM) -> frozenset[str]:
    return frozenset({CAUSAL})


@vocabulary.register
def _(loaded: CausalLM) -> Mapping[str, int]:
    return loaded.tokenizer.get_vocab()


class LanguageTask(Task):
    """Base of the language tasks; a subclass implements `evaluate`."""

    calibration_domains: ClassVar[tuple[str, ...]] = CALIBRATION_DOMAINS
    gives: ClassVar[frozenset[str]] = frozenset({CALIBRATION_DATA, READY_HEAD})
    needs: ClassVar[frozenset[str]] = frozenset({CAUSAL})

    @property
    def calibration_choices(self) -> tuple[str, ...]:
        """The domains that calibration windows take turns over."""
        return self.calibration_domains

    @abstractmethod
    def evaluate(self, subject: CausalLM, context: Context) -> Scores:
        """Score the model, which is in eval mode, on the test part."""

    def documents(self, domain: str, part: Any) -> tuple[str, ...]:
        """Documents of one half ("calibration" or "test") of a text domain, in a fixed order."""
        return _passages(domain, part)

    def origins(self, domain: str) -> Sequence[int]:
        """The number of the whole that each document of the test half is a piece of.

        A task that has `documents` of its own and cuts them from larger ones says here which are of one.
        """
        if type(self).documents is LanguageTask.documents:
            return _origins(domain)
        return range(len(self.documents(domain, "test")))

    def load_shared(self) -> None:
        """The documents of calibration."""
        for domain in self.calibration_domains:
            self.documents(domain, "calibration")

    def build(self, load_backbone: LoadBackbone, context: Context) -> Setup:
        """Load the backbone in the cell's precision, and what a method may see. Raises TypeError for one that is no
        `CausalLM`.
        """
        lm = load_backbone(context.generator("backbone-init"))
        if not isinstance(lm, CausalLM):
            raise TypeError(f"a backbone of a language task must be a CausalLM, not {type(lm).__name__}")
        model = cast(lm.model.to(context.device), context.dtype).eval()
        data = self._data(context, lm.tokenizer)
        return Setup(model=model, data=data, context=self._fill(context, lm.tokenizer, data), backbone=lm)

    def subject(self, model: nn.Module, setup: Setup) -> CausalLM:
        """The model with the tokenizer of its backbone."""
        return CausalLM(model, setup.backbone.tokenizer)

    def cost_call(self, subject: CausalLM, context: Context) -> CostCall:
        """One forward pass over the same tokens in every task and seed.

        A model that trained whole is in float32 by then: its costs are those in the dtype of the cell, as of others.
        """
        if all(parameter.dtype == torch.float32 for parameter in subject.model.parameters()):
            cast(subject.model, context.dtype)
        documents = self.documents(self.calibration_domains[0], "calibration")
        ids = torch.tensor(cut(subject.tokenizer, documents, COST_WINDOW, 1), device=context.device)
        return CostCall(subject.model, lambda m: m(input_ids=ids, use_cache=False), ids.numel(), "token")

    def _data(self, context: Context, tokenizer: Tokenizer) -> Any:
        """What `Method.fit` trains on: nothing."""
        return None

    def _fill(self, context: Context, tokenizer: Tokenizer, data: Any) -> Context:
        """The context with calibration windows of text and the loss of the next token."""
        size = context.budget.batch_size
        rows = self._calibration_windows(context, tokenizer)
        batches = [
            {"input_ids": chunk.to(context.device), "labels": chunk.to(context.device)} for chunk in rows.split(size)
        ]
        return replace(
            context,
            target=Target("next-token", len(tokenizer)),
            batches=lambda: batches,
            inputs=lambda batch: {"input_ids": batch["input_ids"], "use_cache": False},
            loss=next_token_loss,
            tokens=lambda batch: batch["input_ids"].numel(),
        )

    def _calibration_windows(self, context: Context, tokenizer: Tokenizer) -> Tensor:
        """Windows (N, CALIBRATION_WINDOW) that take turns over the domains; each domain's documents are shuffled."""
        count = context.budget.calibration_examples
        domains = context.budget.calibration_domains or self.calibration_domains
        if count < 1:
            return torch.empty(0, CALIBRATION_WINDOW, dtype=torch.int64)
        generator = context.generator("calibration")
        per_domain = []
        for place, domain in enumerate(domains):
            documents = self.documents(domain, "calibration")
            order = torch.randperm(len(documents), generator=generator).tolist()
            fraction = len(range(place, count, len(domains)))
            per_domain.append(cut(tokenizer, (documents[i] for i in order), CALIBRATION_WINDOW, fraction))
        turns = itertools.chain.from_iterable(itertools.zip_longest(*per_domain))
        return torch.tensor([window for window in turns if window is not None])


def cut(tokenizer: Tokenizer, documents: Iterable[str], length: int, count: int) -> list[list[int]]:
    """The first `count` windows of `length` tokens of the documents, joined by a blank line."""
    if count == 0:
        return []
    return windows((encode(tokenizer, text) for text in documents), length, count, encode(tokenizer, SEPARATOR))


def cut_numbered(
    task: LanguageTask, domain: str, tokenizer: Tokenizer, length: int, count: int
) -> tuple[list[list[int]], list[int]]:
    """As `cut` of the test half of a domain, with the number of the document that each window is of."""
    texts = zip(task.origins(domain), task.documents(domain, "test"), strict=True)
    numbered = ((number, encode(tokenizer, text)) for number, text in texts)
    return numbered_windows(numbered, length, count, encode(tokenizer, SEPARATOR))


def next_token_loss(model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    """Mean cross-entropy, in nats, of each token given those before it."""
    logits = model(input_ids=batch["input_ids"], use_cache=False).logits[:, :-1]
    return nn.functional.cross_entropy(logits.flatten(0, 1).float(), batch["labels"][:, 1:].flatten())


@cached_reads()
def _passages(domain: str, part: Any) -> tuple[str, ...]:
    return tuple(passages(domain, part))


@cached_reads()
def _origins(domain: str) -> tuple[int, ...]:
    return tuple(origins(domain, "test"))
