"""Bits per byte over several domains in one cell: for comparisons that want the mean and the router's load, cheaply."""

from collections.abc import Sequence
from typing import ClassVar

from sparsebench.reports.records.record import Metric

from ...contracts.context import Context
from ...contracts.metrics import Scores
from ..language.task import CausalLM, LanguageTask
from .task import MAIN, bits_metric, by_window, domain_bits, fixed_mean, router_details, router_load

SPECIALISATION = "router_specialisation"


class DomainsTask(LanguageTask):
    """Base of the tasks over several `domains`; each is read as a `BitsPerByteTask` reads it.

    `budget.test_examples` is the number of windows of each domain. The domains are fixed and weigh the same; the
    standard error of their mean is that over the documents that windows were cut from, unknown where a domain has one.
    A model with a router also has its specialisation: how far the experts' shares of a domain are from the mean over
    domains (`sparsebench.reports.router_load`).
    """

    domains: ClassVar[tuple[str, ...]]
    group = "bits per byte"

    metric_names = (MAIN, f"{MAIN} *", SPECIALISATION)

    def load_shared(self) -> None:
        """With the documents of every test half."""
        super().load_shared()
        for domain in self.domains:
            self.documents(domain, "test")

    def evaluate(self, subject: CausalLM, context: Context) -> Scores:
        """The mean, each domain, and the router's load."""
        found = {domain: domain_bits(self, domain, subject, context) for domain in self.domains}
        by_domain = {f"{MAIN} {domain}": read.metric() for domain, read in found.items()}
        examples = by_window(found)
        metrics = {MAIN: _mean(list(by_domain.values()), len(examples["bits"])), **by_domain}
        load = router_load(found)
        if load is not None:
            metrics[SPECIALISATION] = Metric(value=load.specialisation(), higher_is_better=True, unit="bits")
        return Scores(MAIN, metrics, examples, router_details(found, context))


def _mean(domains: Sequence[Metric], windows: int) -> Metric:
    """The mean over domains; they are fixed, so its error is that of the documents inside each."""
    value, stderr = fixed_mean([(metric.value, metric.stderr) for metric in domains])
    return bits_metric(value, stderr, windows)
