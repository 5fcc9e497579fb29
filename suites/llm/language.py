"""Protocol of the language tasks: load a causal LM, let the method convert it, evaluate it, count its costs.

Nothing trains here unless a task brings training data (`choice_task.py`). A method sees calibration windows, drawn
again for each seed from the calibration half of a fixed list of text domains, and the same for every method and task of
that seed. The test halves share no document with them.
"""

import functools
import itertools
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from sparsebench.data.text.documents import passages
from sparsebench.data.text.windows import windows
from sparsebench.reports.record import Costs, Metric

from ..contracts.context import Context, Target
from ..contracts.costs import Clock, measure_costs
from ..contracts.method import Method
from ..contracts.task import LoadBackbone, Outcome, Setup, Task
from ..contracts.traits import Backbone

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


@dataclass(frozen=True)
class Scored:
    """What an evaluation gives: metrics, the name of the main one, outcomes of the test examples, and anything else."""

    metrics: Mapping[str, Metric]
    main: str
    examples: Mapping[str, Sequence[Any]]
    details: Mapping[str, Any] = field(default_factory=dict)


class LanguageTask(Task):
    """Base of the language tasks; a subclass implements `evaluate`."""

    calibration_domains: ClassVar[tuple[str, ...]] = CALIBRATION_DOMAINS

    @abstractmethod
    def evaluate(self, lm: CausalLM, context: Context) -> Scored:
        """Score the model, which is in eval mode, on the test part."""

    def unsupported(self, backbone: Backbone) -> str | None:
        """Encoders read in both directions."""
        return "an encoder: it predicts no next token" if backbone.family == "encoder" else None

    def documents(self, domain: str, part: Any) -> tuple[str, ...]:
        """Documents of one half ("calibration" or "test") of a text domain, in a fixed order."""
        return _passages(domain, part)

    def setup(self, load_backbone: LoadBackbone, context: Context) -> Setup:
        """Load the backbone in the cell's precision, and what a method may see."""
        return self._setup(load_backbone, context)[0]

    def run(self, method: Method, load_backbone: LoadBackbone, context: Context) -> Outcome:
        """Load, prepare, fit (a training-free method does nothing), evaluate, measure."""
        clock = Clock()
        setup, tokenizer = self._setup(load_backbone, context)
        context = setup.context
        clock.stop("load")
        model = method.prepare(setup.model, context)
        clock.stop("prepare")
        curves = method.fit(model, setup.data, context)
        model = method.deploy(model).eval()
        clock.stop("fit")
        scored = self.evaluate(CausalLM(model, tokenizer), context)
        clock.stop("evaluate")
        costs = self._measure(model, tokenizer, context)
        clock.stop("measure")
        return Outcome(
            metrics=scored.metrics,
            main_metric=scored.main,
            costs=costs,
            examples=scored.examples,
            times=clock.seconds,
            curves=curves,
            details=scored.details,
        )

    def _setup(self, load_backbone: LoadBackbone, context: Context) -> tuple[Setup, Any]:
        lm = load_backbone(context.generator("backbone-init"))
        if not isinstance(lm, CausalLM):
            raise TypeError(f"a backbone of a language task must be a CausalLM, not {type(lm).__name__}")
        model = lm.model.to(context.device, context.dtype).eval()
        data = self._data(context, lm.tokenizer)
        return Setup(model=model, data=data, context=self._fill(context, lm.tokenizer, data)), lm.tokenizer

    def _data(self, context: Context, tokenizer: Any) -> Any:
        """What `Method.fit` trains on: nothing."""
        return None

    def _fill(self, context: Context, tokenizer: Any, data: Any) -> Context:
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
        )

    def _calibration_windows(self, context: Context, tokenizer: Any) -> Tensor:
        """Windows (N, CALIBRATION_WINDOW) that take turns over the domains; each domain's documents are shuffled."""
        count, domains = context.budget.calibration_examples, self.calibration_domains
        if count < 1:
            return torch.empty(0, CALIBRATION_WINDOW, dtype=torch.int64)
        generator = context.generator("calibration")
        per_domain = []
        for place, domain in enumerate(domains):
            documents = self.documents(domain, "calibration")
            order = torch.randperm(len(documents), generator=generator).tolist()
            share = len(range(place, count, len(domains)))
            per_domain.append(cut(tokenizer, (documents[i] for i in order), CALIBRATION_WINDOW, share))
        turns = itertools.chain.from_iterable(itertools.zip_longest(*per_domain))
        return torch.tensor([window for window in turns if window is not None])

    def _measure(self, model: nn.Module, tokenizer: Any, context: Context) -> Costs:
        """Costs of one forward pass over the same tokens in every task and seed."""
        documents = self.documents(self.calibration_domains[0], "calibration")
        ids = torch.tensor(cut(tokenizer, documents, COST_WINDOW, 1), device=context.device)
        return measure_costs(model, lambda m: m(input_ids=ids, use_cache=False), ids.numel(), "token")


def cut(tokenizer: Any, documents: Iterable[str], length: int, count: int) -> list[list[int]]:
    """The first `count` windows of `length` tokens of the documents, joined by a blank line."""
    if count == 0:
        return []
    return windows((encode(tokenizer, text) for text in documents), length, count, encode(tokenizer, SEPARATOR))


def encode(tokenizer: Any, text: str) -> list[int]:
    """Token numbers of `text`, no special tokens added."""
    # verbose: a document may be longer than what the model reads at once; it is cut to windows afterwards.
    return tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]


def next_token_loss(model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    """Mean cross-entropy, in nats, of each token given those before it."""
    logits = model(input_ids=batch["input_ids"], use_cache=False).logits[:, :-1]
    return nn.functional.cross_entropy(logits.flatten(0, 1).float(), batch["labels"][:, 1:].flatten())


@functools.cache
def _passages(domain: str, part: Any) -> tuple[str, ...]:
    return tuple(passages(domain, part))
