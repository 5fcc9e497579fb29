"""Curves of a mixture in a record: found by their names, those of the last link, refused where they make no sense."""

from typing import Any

import pytest

from sparsebench.reports.mixing.curves import CV2, OVERHEAD, from_curves, is_of_mixing, load_name, name_of
from sparsebench.reports.records.record import RecordError

CURVES: dict[str, Any] = {
    "train loss": [(1.0, 2.0)],
    name_of("weight", "code"): [(0.0, 0.5), (2.0, 0.75)],
    name_of("weight", "law of 1. mixing"): [(0.0, 0.5), (2.0, 0.25)],
    name_of("loss", "code"): [(2.0, 1.5)],
    name_of("delta", "code"): [(2.0, 0.1)],
    load_name(1, "code"): [(2.0, 0.9), (4.0, 0.8)],
    load_name(0, "code"): [(2.0, 0.1), (4.0, 0.2)],
    CV2: [(2.0, 0.3)],
    OVERHEAD: [(2.0, 0.01)],
}


def test_there_and_back() -> None:
    found = from_curves(CURVES)
    assert list(found.weight) == ["code", "law of 1. mixing"] and found.weight["code"][-1] == (2.0, 0.75)
    assert found.loss == {"code": [(2.0, 1.5)]} and found.delta == {"code": [(2.0, 0.1)]}
    assert found.load == {"code": {1: [(2.0, 0.9), (4.0, 0.8)], 0: [(2.0, 0.1), (4.0, 0.2)]}}
    assert found.cv2 == [(2.0, 0.3)] and found.overhead == [(2.0, 0.01)]


def test_the_last_link_of_a_chain_counts() -> None:
    chain = {f"2. {name}": points for name, points in CURVES.items()}
    chain["10. mixing weight law"] = [(0.0, 1.0)]
    found = from_curves(chain)
    assert found.weight == {"law": [(0.0, 1.0)]}
    del chain["10. mixing weight law"]
    assert from_curves(chain) == from_curves(CURVES)


def test_other_curves_are_none_of_them() -> None:
    with pytest.raises(RecordError, match="no curves of a mixture"):
        from_curves({"train loss": [(1.0, 2.0)], "2. router cv2": [(1.0, 2.0)]})
    assert [is_of_mixing(name) for name in ("mixing cv2", "2. mixing cv2", "train mixing", "router cv2")] == [
        *(True, True, False, False)
    ]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({CV2: []}, "has no point"),
        ({CV2: [(1.0, float("nan"))]}, "not finite"),
        ({name_of("weight", "code"): [(0.0, 0.9), (2.0, 0.75)]}, "no fractions"),
        ({name_of("weight", "code"): [(0.0, 1.5), (2.0, 0.75)]}, "no fractions"),
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(RecordError, match=words):
        from_curves({**CURVES, **changes})
    with pytest.raises(RecordError, match="without weights"):
        from_curves({CV2: [(1.0, 1.0)]})
