"""What a link that compressed noted, as the panel reads it, in committed records too, and what is refused."""

from pathlib import Path

import pytest

from sparsebench.reports.compression.notes import from_details
from sparsebench.reports.panels.panel import by_link
from sparsebench.reports.records.record import from_json, to_json
from sparsebench.reports.records.record_limits import RecordError
from sparsebench.reports.records.store import Store
from sparsebench.reports.routers.health import from_details as router_health

RESULTS = Path(__file__).parents[3] / "reports" / "results"


def noted(bytes=(10, 8), **lists):
    return {"bytes": list(bytes), "active": [4, 4], "blocks": {"0": lists, "10": {"bits": [2]}, "2": {"bits": [3]}}}


def test_values_by_name_and_block():
    link = from_details(2, noted(zeros_up=[0.5], zeros_down=[0.25, 0.5], bits=[4]))
    assert link.number == 2 and link.bytes == (10, 8)
    assert link.values("bits") == [4, 3, 2] and link.points("bits") == [(0.0, 4), (2.0, 3), (10.0, 2)]
    assert link.zeros() == [0.5, 0.25, 0.5] and link.values("experts") == []


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (noted(bytes=(8, -1)), "count nothing"),
        (noted(zeros_up=[1.5]), "no fractions"),
        (noted(experts=[1.5]), "count nothing"),
        (noted(bits=[-1.0]), "count nothing"),
    ],
)
def test_what_makes_no_sense(value, message):
    with pytest.raises(RecordError, match=message):
        from_details(1, value)
    with pytest.raises(ValueError, match="not enough values"):
        from_details(1, noted(bytes=(8,)))


def test_committed_records_hold_notes_and_read_again_as_the_same():
    records, _ = Store(RESULTS / "quick").read_all()
    bits = {}
    health = 0
    for record in records:
        for link, note in by_link(record.details, "compression").items():
            bits[link, record.cell.label] = from_details(link, note).values("bits")
        assert from_json(to_json(record)) == record
        for note in by_link(record.details, "router_health_on_calibration").values():
            health += len(router_health(note).layers)
    assert health > 100
    assert set(bits[1, "GPTQ 4 bits"]) == set(bits[3, "MoE shared 50 % tuned, GPTQ 4 bits"]) == {4.0}
