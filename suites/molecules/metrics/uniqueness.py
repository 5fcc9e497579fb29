"""Uniqueness: how seldom a generator repeats itself."""

from collections.abc import Sequence

from sparsebench.reports.records.record import Metric


def unique(smiles: Sequence[str], k: int) -> Metric:
    """Distinct strings among the first ``k`` canonical SMILES of valid molecules, divided by ``k`` ("unique@k").

    It falls as k grows, so it has no meaning without its k. Raises ValueError when there are fewer than k.
    """
    if len(smiles) < k:
        raise ValueError(f"unique@{k} needs {k} valid molecules; there are {len(smiles)}")
    return Metric(value=len(set(smiles[:k])) / k, n=k, higher_is_better=True, unit="share")
