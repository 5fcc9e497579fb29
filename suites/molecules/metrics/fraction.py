"""Fractions with their standard errors."""

from sparsebench.reports.records.record import Metric


def fraction(hits: int, n: int) -> Metric:
    """``hits`` of ``n`` independent trials, with the binomial standard error. Raises ValueError when ``n`` is 0."""
    if n == 0:
        raise ValueError("a fraction of no molecules is not defined")
    value = hits / n
    stderr = (value * (1 - value) / max(1, n - 1)) ** 0.5
    return Metric(value=value, stderr=stderr, n=n, higher_is_better=True, unit="share")
