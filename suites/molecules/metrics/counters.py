"""Cosine similarity of counted things."""

from collections.abc import Mapping

from sparsebench.reports.records.record import Metric


def cosine(counts: Mapping[str, int], reference: Mapping[str, int], n: int) -> Metric:
    """Cosine of two count vectors, where what is not counted is zero; ``n`` molecules are behind ``counts``.

    Raises ValueError when one of them is empty.
    """
    if not counts or not reference:
        raise ValueError("the cosine with an empty count is not defined")
    product = sum(count * reference.get(key, 0) for key, count in counts.items())
    value = product / (_length(counts) * _length(reference))
    return Metric(value=value, n=n, higher_is_better=True, unit="")


def _length(counts: Mapping[str, int]) -> float:
    return sum(int(count) ** 2 for count in counts.values()) ** 0.5
