"""The panel of deployment: one row of words for each model, bars of decoding; what it refuses."""

import pytest

from sparsebench.reports.panels.deployment import PANEL, Deployed, to_details
from sparsebench.reports.panels.panel import Entry
from sparsebench.reports.records.record import RecordError

from .pages import cells, section


def deployed(**changes):
    values = {
        "stored_bytes": 2_000_000,
        "disk_bytes": 2_010_000,
        "resident_bytes": 3_000_000,
        "peak_bytes": None,
        "prefill": {32: 5000.0, 128: 8000.0},
        "decode": {32: 100.0, 128: 90.0},
    }
    return Deployed(**{**values, **changes})


def test_each_row_has_its_bytes_and_its_speeds_by_length(make, tmp_path):
    half = deployed(stored_bytes=1_000_000, decode={32: 200.0, 128: 180.4})
    records = [
        make.record("dense", details=to_details(deployed())),
        make.record("half", details=to_details(half)),
    ]
    found = cells(section("Deployment", tmp_path, *records))
    assert found[:7] == ["1  dense", "2 MB", "2.01 MB", "3 MB", "–", "5 k (32), 8 k (128)", "100 (32), 90 (128)"]
    assert found[7:9] == ["2  half", "1 MB"]
    assert found[13] == "200 (32), 180 (128)"


def caption(*found):
    entries = [Entry(number, f"row {number}", "llm", value) for number, value in enumerate(found, 1)]
    content = PANEL.show(entries)
    assert content is not None
    return content.figures[0].caption


def test_rows_that_are_smaller_and_not_faster_say_so():
    """Against the largest row, at the longest prompt that both have."""
    small = {"stored_bytes": 1_000_000}
    faster = deployed(**small, prefill={32: 6000.0, 128: 9000.0}, decode={32: 150.0, 128: 91.0})
    slower = deployed(**small, prefill={32: 9000.0, 128: 9000.0}, decode={32: 150.0, 128: 45.0})
    short = deployed(**small, prefill={32: 2500.0}, decode={32: 200.0})
    assert caption(deployed(), faster) == "" and caption(deployed(), deployed()) == ""
    assert caption(slower, deployed()) == (
        "Smaller than row 2, but not faster in both: row 1 (prefill 1.12 ×, decode 0.50 ×)."
    )
    assert "row 3 (prefill 0.50 ×, decode 2.00 ×)" in caption(deployed(), faster, short)
    assert caption(deployed(), deployed(**small, prefill={64: 1.0}, decode={64: 1.0})) == ""


def test_what_is_written_comes_back():
    assert PANEL.parse(to_details(deployed())["deployment"]) == deployed()


@pytest.mark.parametrize("decode", [{}, {32: 0.0, 128: 1.0}, {32: float("nan"), 128: 1.0}, {32: 1.0}])
def test_rates_that_make_no_sense_are_refused(decode):
    with pytest.raises(RecordError):
        deployed(decode=decode)
