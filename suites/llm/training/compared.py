"""Pre-training that goes on after a conversion, with what the conversion changed: the model is compared with itself."""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from sparsebench.models.moe.conversion.output_divergence import output_divergence
from sparsebench.reports.records.record import Metric

from ...contracts.context import Context, LoadBackbone, Setup
from ...contracts.metrics import Scores
from ..bits_per_byte.task import DEFAULT_WINDOWS, WINDOW, fixed_mean, ratio
from ..language.task import CausalLM, cut_numbered
from ..multiple_choice.option_likelihoods import NAMES, with_options_of_sets
from .pretraining import PretrainingTask
from .task import TrainedLM

DIVERGENCE, SAME = "kl_from_backbone", "same_token"
NATS, SAMES, TOKENS = "kl_nats", "same_tokens", "compared_tokens"
"""Sums by window, behind the two metrics."""


@dataclass(frozen=True)
class ComparedLM(TrainedLM):
    """A model, and the backbone as it was before any method."""

    original: nn.Module


@dataclass(frozen=True)
class _Kept(CausalLM):
    """A loaded backbone, which methods change in place, and a copy, which they do not."""

    original: nn.Module


@dataclass(frozen=True)
class Comparison:
    """Two models on the windows of a domain: sums over the tokens of each window, and the document that it is of."""

    nats: list[float]
    same: list[int]
    tokens: list[int]
    documents: list[int]


class ComparedTask(PretrainingTask):
    """As its base, and how far the outputs are from those of the backbone as it was loaded.

    `kl_from_backbone` is KL(backbone || model) of the next token in nats, `same_token` the fraction of tokens whose
    likeliest successor is the backbone's, both on the windows of the bits per byte: means over domains, with the
    standard error over documents. Sets of questions also give `gold_nll` and `margin` over all of them together.
    """

    metric_names = (*PretrainingTask.metric_names, DIVERGENCE, SAME, *NAMES)

    def build(self, load_backbone: LoadBackbone, context: Context) -> Setup:
        """As of the base, with a copy of the backbone."""
        setup = super().build(load_backbone, context)
        original = copy.deepcopy(setup.model).requires_grad_(False).eval()
        return replace(setup, backbone=_Kept(setup.backbone.model, setup.backbone.tokenizer, original))

    def subject(self, model: nn.Module, setup: Setup) -> ComparedLM:
        """The model with the backbone as it was."""
        lm = super().subject(model, setup)
        return ComparedLM(lm.model, lm.tokenizer, lm.data, setup.backbone.original)

    def evaluate(self, subject: CausalLM, context: Context) -> Scores:
        """The scores of the base, and the two comparisons."""
        found = super().evaluate(subject, context)
        assert isinstance(subject, ComparedLM)
        compared = [self._compared(domain, subject, context) for domain in self.domains]
        examples = {
            NATS: [value for one in compared for value in one.nats],
            SAMES: [value for one in compared for value in one.same],
            TOKENS: [value for one in compared for value in one.tokens],
        }
        nats = [ratio(one.nats, one.tokens, one.documents) for one in compared]
        same = [ratio(one.same, one.tokens, one.documents) for one in compared]
        windows = len(examples[TOKENS])
        metrics = {
            DIVERGENCE: _over_domains(nats, windows, "nats", higher_is_better=False),
            SAME: _over_domains(same, windows, "share", higher_is_better=True),
        }
        return replace(found, metrics={**found.metrics, **metrics}, examples={**found.examples, **examples})

    def with_answers(self, found: Scores, answered: Sequence[Scores]) -> Scores:
        """With the likelihoods of all options."""
        return with_options_of_sets(found, answered)

    def _compared(self, domain: str, subject: ComparedLM, context: Context) -> Comparison:
        count = context.budget.test_examples or DEFAULT_WINDOWS
        rows, documents = cut_numbered(self, domain, subject.tokenizer, WINDOW, count)
        nats, same = compare(subject.original, subject.model, torch.tensor(rows, device=context.device))
        return Comparison(nats, same, [len(row) for row in rows], documents)


@torch.inference_mode()
def compare(original: nn.Module, model: nn.Module, ids_NT: Tensor) -> tuple[list[float], list[int]]:
    """Two causal language models on the same windows of tokens, one window at a time.

    Args:
        original: the model as it was.
        model: the model as it is, of the same vocabulary.
        ids_NT: windows (N, T).

    Returns:
        For each window KL(original || model) in nats, summed over its tokens, and the number of those whose likeliest
        successor is the same.
    """
    nats = []
    same = []
    for ids_T in ids_NT:
        before, now = (lm(input_ids=ids_T[None], use_cache=False).logits[0] for lm in (original, model))
        nats.append(max(0.0, float(output_divergence(before, now)) * len(ids_T)))
        same.append(int((before.argmax(-1) == now.argmax(-1)).sum()))
    return nats, same


def _over_domains(
    found: Sequence[tuple[float, float | None]], windows: int, unit: str, *, higher_is_better: bool
) -> Metric:
    """The mean over fixed domains, each with its standard error; unknown where that of one is.

    Raises FloatingPointError for a value that is not finite.
    """
    value, stderr = fixed_mean(found)
    if not math.isfinite(value):
        raise FloatingPointError(f"the comparison with the backbone gives {value}: NaN or infinite logits")
    return Metric(value=value, stderr=stderr, n=windows, higher_is_better=higher_is_better, unit=unit)
