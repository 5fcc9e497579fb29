"""A claim, which tests change and judge."""

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
