"""The page says what did not run, and counts where the host waits in repeated parts alone."""

from .cells import Found
from .places import Place
from .table import as_json, problems, rendered

FORWARD = Place("models/a.py:3", "tolist", "forward")
KERNELS = {"interpret": [], "compile": []}
CASES = {
    "good": Found(
        places={FORWARD: 2, Place("suites/b.py:1", "item", "elsewhere"): 9}, scores={"x": 3.0}, expected={"x": 3.003}
    ),
    "also good": Found(places={FORWARD: 1}),
    "refused": Found(error="models/a.py:4: RuntimeError: two devices", scores={}, expected={"x": 1.0}),
    "other score": Found(scores={"x": 0.5}, expected={"x": 1.0}),
}


def test_what_is_kept() -> None:
    audit = as_json(CASES, KERNELS)
    assert [row["waits"] for row in audit["cases"]] == [2, 1, 0, 0]
    assert audit["cases"][0]["difference"] < 0.0011
    assert audit["waits"] == [{**FORWARD._asdict(), "cases": 2, "times": 3}]
    assert problems(audit) == [
        "refused: models/a.py:4: RuntimeError: two devices",
        "other score: a score differs by 50.0% from the CPU's",
    ]


def test_the_page() -> None:
    page = rendered(as_json(CASES, KERNELS))
    assert "2 of 4 cases ran to their end" in page
    assert "| models/a.py:3 | tolist | forward | 2 | 3 |" in page
    assert "| refused | – | 0 |" in page
    assert "Nothing." in rendered(as_json({"good": CASES["good"]}, KERNELS))
