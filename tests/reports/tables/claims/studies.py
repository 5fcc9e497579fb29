"""A claim, which tests change and judge, and records whose differences are given."""

import numpy as np

from sparsebench.reports.tables.claims import Claim

CLAIM = Claim(
    id="C1",
    statement="A needs fewer bits than B.",
    source="somebody | 2026",
    suite="llm",
    backbone="net",
    tasks=("t",),
    metric="bits",
    rows=("A", "B"),
    direction="lower",
)


def drawn(make, differences_SK):
    """Records of a baseline, R0, and of rows that differ from it by so much with each seed."""
    values_SR = 5.0 + np.pad(differences_SK, ((0, 0), (1, 0)))
    found = []
    for (seed, row), value in np.ndenumerate(values_SR):
        metrics = {"bits": make.metric(float(value), higher_is_better=False, unit="bits/byte")}
        about = {"metrics": metrics, "main_metric": "bits", "seeds": {"planned": len(values_SR), "stochastic": 1}}
        found.append(make.record(f"R{row}", "t", seed, cell={"suite": "llm", "backbone": "net"}, **about))
    return found
