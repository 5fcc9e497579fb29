"""The panel of chosen options: parameters with and without head, options by task; what it refuses."""

import pytest

from sparsebench.reports.panels.chosen_options import PANEL, Protocol, to_details
from sparsebench.reports.records.record import RecordError

from .pages import cells, section


def protocol(**changes):
    values = {
        "trained": 92_000,
        "head": 12_000,
        "rows": 1000,
        "chosen": {"learning_rate": 0.003},
        "inputs": "224 x 224, mean 0.5, std 0.5",
    }
    return Protocol(**{**values, **changes})


def test_each_row_has_its_parameters_and_options(make, tmp_path):
    probe = protocol(trained=12_000, chosen={"penalties": [0.1]})
    records = [
        make.record("linear_probe", task="one", details=to_details(probe)),
        make.record("adapter", task="one", details=to_details(protocol())),
        make.record("adapter", task="two", details=to_details(protocol(trained=100_000, head=20_000, chosen={}))),
    ]
    found = cells(section("Protocol", tmp_path, *records))
    assert found[:5] == ["1  linear_probe", "12 k", "0", "one: penalties [0.1]", "224 x 224, mean 0.5, std 0.5"]
    assert found[5:9] == ["2  adapter", "96 k", "80 k", "one: learning_rate 0.003; two: –"]


def test_what_is_written_comes_back():
    assert PANEL.parse(to_details(protocol())["protocol"]) == protocol()


@pytest.mark.parametrize(("trained", "head"), [(5, 6), (5, -1)])
def test_a_head_that_is_no_part_is_refused(trained, head):
    with pytest.raises(RecordError, match="is no part of 5"):
        protocol(trained=trained, head=head)
