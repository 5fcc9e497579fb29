"""What `plan` says."""

from pathlib import Path

from sparsebench.suites.runner.plan_view import plan_document, plan_text
from sparsebench.suites.runner.planning.profile import load_profile


def test_a_plan_ends_with_the_states(tmp_path: Path) -> None:
    plan = plan_document(load_profile("smoke", ["vtab"]), tmp_path / "none")
    text = plan_text(plan)
    assert text.splitlines()[0].startswith(("missing", "n/a"))
    assert "Time to run the rest: unknown" in text and "0 stale" not in text
    assert sum(plan["states"].values()) == len(plan["cells"])
    first = plan["cells"][0]
    assert first["chain"][0]["config"] and first["budget"]["batch_size"]
