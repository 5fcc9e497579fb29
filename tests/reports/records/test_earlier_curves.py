"""Findings of records of schema 3 and before, which were curves: as notes, in committed records too."""

from pathlib import Path

from sparsebench.reports.compression.notes import from_details as compression
from sparsebench.reports.panels.panel import by_link
from sparsebench.reports.records.earlier_curves import take_notes
from sparsebench.reports.records.record import from_json, to_json
from sparsebench.reports.records.store import Store
from sparsebench.reports.routers.health import LayerNumbers, RouterHealth
from sparsebench.reports.routers.health import from_details as router_health

RESULTS = Path(__file__).parents[3] / "reports" / "results"
POINT = (1.0, 2.0)


def test_compression_link_by_link():
    curves = {
        "2. compression bytes": [(0, 10.0), (1, 8.0)],
        "2. compression zeros up": [(0, 0.5), (3, 0.25), (3, 0.75)],
        "2. dropped by block": [(0, 0.0), (3, 1.0)],
        "2. zeros by block": [(0, 0.5)],
        "3. similarity by block": [(0, 0.5)],
        "2. train loss": [POINT],
    }
    (name, note), *more = take_notes(curves).items()
    assert name == "2. compression" and more == []
    assert note["bytes"] == [10.0, 8.0] and set(note) == {"bytes", "blocks"}
    assert note["blocks"]["0"] == {"zeros_up": [0.5], "dropped": [0.0]}
    assert note["blocks"]["3"] == {"zeros_up": [0.25, 0.75], "dropped": [1.0]}
    # What the page draws as it is stays, as do layers that a link dropped without a word on bytes.
    assert list(curves) == ["2. zeros by block", "3. similarity by block", "2. train loss"]


def test_routers_by_layer_and_part():
    values = {"experts": 4.0, "worst expert": 1.5, "dead experts": 2.0, "entropy": 0.9, "load cv2": 0.25}
    curves = {f"router {kind} by layer": [(0.0, value), (2.0, value)] for kind, value in values.items()}
    values |= {"dead experts": 0.0, "worst expert": 1.0123456789}
    curves |= {f"router attention {kind} by layer": [(2.0, value)] for kind, value in values.items()}
    curves["router cv2"] = [POINT]
    (note,) = take_notes(curves).values()
    ffn = LayerNumbers(1.5, (0, 1), 0.9, None, 0.25)
    attention = LayerNumbers(1.0123456789, (), 0.9, None, 0.25)
    expected = RouterHealth(("0", "2", "2 attention"), (4, 4, 4), {"calibration data": (ffn, ffn, attention)})
    assert router_health(note) == expected and list(curves) == ["router cv2"]


def test_committed_records_hold_notes_and_read_again_as_the_same():
    records, _ = Store(RESULTS / "quick").read_all()
    bits = {}
    health = 0
    for record in records:
        for link, note in by_link(record.details, "compression").items():
            bits[link, record.cell.label] = compression(link, note).values("bits")
        assert not any("compression " in name or "router worst" in name for name in record.curves)
        assert from_json(to_json(record)) == record
        for note in by_link(record.details, "router_health_on_calibration").values():
            health += len(router_health(note).layers)
    assert health > 100
    assert set(bits[1, "GPTQ 4 bits"]) == set(bits[3, "MoE shared 50 % tuned, GPTQ 4 bits"]) == {4.0}
