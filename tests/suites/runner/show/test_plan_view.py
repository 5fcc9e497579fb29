"""What `plan` says."""

from pathlib import Path

from sparsebench.suites.runner.planning.profile import load_profile
from sparsebench.suites.runner.show.plan_view import plan_document, plan_text


def test_a_plan_ends_with_the_states(tmp_path: Path) -> None:
    plan = plan_document(load_profile("smoke", ["vtab"]), tmp_path / "none")
    text = plan_text(plan)
    assert text.splitlines()[0].startswith(("missing", "n/a"))
    assert "Time to run the rest: unknown" in text and "0 stale" not in text
    assert sum(plan["states"].values()) == len(plan["cells"])
    first = plan["cells"][0]
    assert first["chain"][0]["config"] and first["budget"]["batch_size"]
    assert plan_text({**plan, "cells": []}).endswith("no task of this choice has a row of it.")


def test_a_network_without_its_file_is_said_to_be_random(tmp_path: Path) -> None:
    (tmp_path / "w.npz").touch()
    plan = plan_document(load_profile("smoke", ["vtab"]), tmp_path / "none")
    assert "random weights" not in plan_text(plan), "those that are always random say so by their names"
    for backbone, said in (
        ("timm:test_vit", True),
        ("timm:test_vit:64", True),
        (f"timm:test_vit@{tmp_path}/w.npz", False),
    ):
        cell = {**plan["cells"][0], "backbone": backbone}
        text = plan_text({**plan, "cells": [cell, cell]})  # type: ignore[typeddict-item]
        line = f"{backbone} has random weights: timm:NAME@FILE reads them from a file."
        assert text.splitlines()[2:-1] == ([line] if said else [])
        assert text.splitlines()[-1].startswith("2 cells")
