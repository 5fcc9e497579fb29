"""Bits per byte: how many bits the model needs for one byte of held-out text; comparable over tokenizers."""

import math
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from sparsebench.data.text.windows import Tokenizer, token_bytes
from sparsebench.reports.panels.router_load import RouterLoad, to_details
from sparsebench.reports.records.record import Metric
from sparsebench.reports.statistics.examples import CLUSTER

from ...contracts.context import Context
from ...contracts.metrics import Scores
from ..language.routing import Watched, health_details, watched
from ..language.task import CausalLM, LanguageTask, cut_numbered, encode

MAIN = "bits_per_byte"
WINDOW = 512
PROBE = "naïve, café – 日本\n"
DEFAULT_WINDOWS = 16
"""Test windows where the budget names no number."""


@dataclass(frozen=True)
class DomainBits:
    """Bits and bytes of each window of one domain, the document that each one is of, and what the routers did.

    Without numbers of documents nobody knows which windows belong together, so that their spread says nothing.
    """

    bits: list[float]
    bytes: list[int]
    routers: Watched
    documents: list[int] = field(default_factory=list)

    def metric(self) -> Metric:
        """Bits per byte, with the standard error over documents."""
        value, stderr = ratio(self.bits, self.bytes, self.documents)
        return bits_metric(value, stderr if self.documents else None, len(self.bits))


class BitsPerByteTask(LanguageTask):
    """Base of the bits-per-byte tasks; a subclass names its `domain`.

    The documents of the domain's test half, joined by a blank line, are cut into windows of 512 tokens; the first
    token of a window is context only. `budget.test_examples` is the number of windows. The record keeps how the
    router, if there is one, spreads the domain over the experts, and how evenly.
    """

    domain: str
    group = "bits per byte"
    metric_names = (MAIN,)

    def load_shared(self) -> None:
        """With the documents of the test half."""
        super().load_shared()
        self.documents(self.domain, "test")

    def evaluate(self, subject: CausalLM, context: Context) -> Scores:
        """Bits of all predicted tokens over their bytes; standard error over documents."""
        found = domain_bits(self, self.domain, subject, context)
        details = router_details({self.domain: found}, context)
        examples = {"bits": found.bits, "bytes": found.bytes, CLUSTER: found.documents}
        return Scores(MAIN, {MAIN: found.metric()}, examples, details)


def domain_bits(task: LanguageTask, domain: str, lm: CausalLM, context: Context) -> DomainBits:
    """Read the first windows of a domain's test half. Raises `ValueError` for a tokenizer that is not byte-level."""
    check_bytes(lm.tokenizer)
    count = context.budget.test_examples or DEFAULT_WINDOWS
    rows, documents = cut_numbered(task, domain, lm.tokenizer, WINDOW, count)
    ids_NT = torch.tensor(rows, device=context.device)
    size = context.budget.batch_size
    bits, routers = watched(lm.model, lambda: window_bits(lm.model, ids_NT, size), logits=True)
    return DomainBits(bits, [token_bytes(lm.tokenizer, row[1:]) for row in rows], routers, documents)


def bits_metric(value: float, stderr: float | None, windows: int) -> Metric:
    """The metric of the tasks of this kind. Raises `FloatingPointError` for a value that is not finite."""
    if not math.isfinite(value):
        raise FloatingPointError(f"bits per byte are {value}: the model puts out NaN or infinite logits")
    return Metric(value=value, stderr=stderr, n=windows, higher_is_better=False, unit="bits/byte")


def router_details(domains: Mapping[str, DomainBits], context: Context) -> dict[str, Any]:
    """Load and health of the routers in each domain as the record keeps them; neither without a router."""
    details = health_details({domain: found.routers for domain, found in domains.items()}, context)
    load = router_load(domains)
    if load is not None:
        details |= to_details(load)
    return details


def router_load(domains: Mapping[str, DomainBits]) -> RouterLoad | None:
    """The router load of each domain, None without a router."""
    blocks = sorted(next(iter(domains.values())).routers.loads)
    if not blocks:
        return None
    fractions = {domain: tuple(found.routers.loads[block] for block in blocks) for domain, found in domains.items()}
    return RouterLoad(tuple(blocks), fractions)


def check_bytes(tokenizer: Tokenizer) -> None:
    """Raise `ValueError` unless each byte of a text is in just one token, so that the bytes of a window are known."""
    if token_bytes(tokenizer, encode(tokenizer, PROBE)) != len(PROBE.encode()):
        raise ValueError(
            f"{type(tokenizer).__name__} is no byte-level tokenizer, so bits per byte cannot be counted; "
            "use a backbone with byte-level BPE (SmolLM2, Llama 3, Qwen, OLMo, GPT-2)"
        )


@torch.inference_mode()
def window_bits(model: nn.Module, ids_NT: Tensor, batch_size: int) -> list[float]:
    """Negative log2-likelihood of tokens 1.. of each window given those before them, N numbers."""
    bits = []
    for ids_BT in ids_NT.split(batch_size):
        logits = model(input_ids=ids_BT, use_cache=False).logits[:, :-1]
        nats = [
            nn.functional.cross_entropy(logits_TV.float(), ids_T[1:], reduction="none").double().sum()
            for logits_TV, ids_T in zip(logits, ids_BT, strict=True)  # row by row: float logits are large
        ]
        bits += [nat.item() / math.log(2) for nat in nats]
    return bits


def by_window(domains: Mapping[str, DomainBits]) -> dict[str, list[Any]]:
    """The outcome of each window of several domains, as `sparsebench.reports.statistics` reads it."""
    examples: dict[str, list[Any]] = {"domain": [], "bits": [], "bytes": [], CLUSTER: []}
    for domain, read in domains.items():
        examples["domain"] += [domain] * len(read.bits)
        examples["bits"] += read.bits
        examples["bytes"] += read.bytes
        examples[CLUSTER] += read.documents
    return examples


def ratio(
    numerators: Sequence[float], denominators: Sequence[float], clusters: Sequence[Hashable] = ()
) -> tuple[float, float | None]:
    """Sum over sum, and its standard error by the ratio estimator (Cochran, Sampling Techniques, section 6.3).

    `clusters` says which terms were drawn together; without it each one stands for itself. None for one cluster. Where
    their sizes differ much it is too small; differences of rows take theirs from the examples (`examples_error`).
    """
    total = sum(denominators)
    value = sum(numerators) / total
    residuals: dict[Hashable, float] = defaultdict(float)
    terms = zip(numerators, denominators, clusters or range(len(numerators)), strict=True)
    for above, below, cluster in terms:
        residuals[cluster] += above - value * below
    n = len(residuals)
    if n < 2:
        return value, None
    squares = sum(residual**2 for residual in residuals.values())
    return value, math.sqrt(n / (n - 1) * squares) / total


def fixed_mean(parts: Sequence[tuple[float, float | None]]) -> tuple[float, float | None]:
    """The mean of (value, standard error) over parts that are fixed: its error is that inside each.

    None for an error where one of theirs is.
    """
    value = math.fsum(value for value, _ in parts) / len(parts)
    errors = [error for _, error in parts if error is not None]
    return value, math.hypot(*errors) / len(parts) if len(errors) == len(parts) else None
