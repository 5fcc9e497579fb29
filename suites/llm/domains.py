"""Bits per byte over several domains in one cell: for comparisons that want the mean and the router's load, cheaply."""

import math
from typing import ClassVar

from sparsebench.reports.record import Metric

from ..contracts.context import Context
from .bits_per_byte import MAIN, bits_metric, domain_bits, load_details, ratio, router_load
from .language import CausalLM, LanguageTask, Scored

SPECIALISATION = "router_specialisation"


class DomainsTask(LanguageTask):
    """Base of the tasks over several `domains`; each is read as a `BitsPerByteTask` reads it.

    `budget.test_examples` is the number of windows of each domain. The domains are fixed and weigh the same; the
    standard error of their mean is that over windows. A model with a router also has its specialisation: how far the
    experts' shares of a domain are from the mean over domains (`sparsebench.reports.router_load`).
    """

    domains: ClassVar[tuple[str, ...]]
    group = "bits per byte"

    def evaluate(self, lm: CausalLM, context: Context) -> Scored:
        """The mean, each domain, and the router's load."""
        found = {domain: domain_bits(self, domain, lm, context) for domain in self.domains}
        metrics = {f"{MAIN} {d}": bits_metric(*ratio(f.bits, f.bytes), len(f.bits)) for d, f in found.items()}
        value = math.fsum(metric.value for metric in metrics.values()) / len(metrics)
        errors = [metric.stderr for metric in metrics.values() if metric.stderr is not None]
        stderr = math.hypot(*errors) / len(metrics) if len(errors) == len(metrics) else None
        windows = sum(len(f.bits) for f in found.values())
        load = router_load(found)
        more = {} if load is None else {SPECIALISATION: _specialisation(load.specialisation())}
        examples = {
            "domain": [domain for domain, f in found.items() for _ in f.bits],
            "bits": [bits for f in found.values() for bits in f.bits],
            "bytes": [size for f in found.values() for size in f.bytes],
        }
        return Scored(
            {MAIN: bits_metric(value, stderr, windows), **metrics, **more}, MAIN, examples, load_details(found)
        )


def _specialisation(value: float) -> Metric:
    return Metric(value=value, higher_is_better=True, unit="bits")
