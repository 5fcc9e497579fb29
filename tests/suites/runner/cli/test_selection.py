"""What options choose and change of a profile, and where the results go."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from sparsebench.suites.runner.cli.selection import Request, check_device, kind_of_device, only, select
from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.identity import device
from sparsebench.suites.runner.planning.profile import load_profile

SMOKE = Request(profile="smoke", suites=("molecules",))


def context(suite: str | None):
    return SimpleNamespace(obj=suite)


def test_a_suite_is_said_once() -> None:
    assert only(context(None), None) == ()
    assert only(context(None), ["llm", "vtab"]) == ("llm", "vtab")
    assert only(context("llm"), None) == ("llm",)
    with pytest.raises(UsageError, match="say it twice"):
        only(context("llm"), ["vtab"])


def test_a_suite_that_knows_nothing_of_what_is_named_is_left_out() -> None:
    (plan,) = select(replace(SMOKE, methods=("full_tuning",), seeds=1)).profile.plans
    assert [row.label for row in plan.methods] == ["full_tuning"]
    assert plan.seeds == 1
    selection = select(Request(profile="smoke", tasks=("freesolv",)))
    assert [plan.suite for plan in selection.profile.plans] == ["molecules"]
    assert [note.partition(":")[0] for note in selection.notes[:2]] == ["llm is left out", "vtab is left out"]


def test_a_whole_profile_has_the_folder_of_its_name() -> None:
    selection = select(SMOKE)
    assert selection.folder == Path("results/smoke")
    assert selection.notes == ()
    assert selection.profile == load_profile("smoke", ["molecules"])


CHANGES = {
    "one row": {"methods": ("linear_probe",)},
    "one task": {"tasks": ("synthetic",)},
    "one backbone": {"backbones": ("tiny",)},
    "a setting": {"settings": ("lora.rank=2",)},
    "fewer test examples": {"limit": 4},
    "more seeds": {"seeds": 5},
    "another precision": {"dtype": "bfloat16"},
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_part_or_a_change_has_a_folder_of_its_own(name: str) -> None:
    """R14: such runs went into the profile's folder and showed in its report."""
    selection = select(replace(SMOKE, **CHANGES[name]))
    assert selection.folder.parent == Path("results")
    assert selection.folder.name.startswith("adhoc-smoke-molecules-")
    assert any(str(selection.folder) in note for note in selection.notes)
    assert select(replace(SMOKE, **CHANGES[name])).folder == selection.folder
    assert select(replace(SMOKE, **CHANGES[name]), Path("mine")).folder == Path("mine")


def test_each_change_has_its_own_folder_in_any_order() -> None:
    folders = {select(replace(SMOKE, **change)).folder for change in CHANGES.values()}
    assert len(folders) == len(CHANGES)
    one = select(replace(SMOKE, methods=("dense", "few_shot"), settings=("timeout=9", "seeds=1")))
    other = select(replace(SMOKE, methods=("few_shot", "dense"), settings=("seeds=1", "timeout=9")))
    assert one.folder == other.folder


def test_what_the_profile_says_anyway_changes_nothing() -> None:
    seeds = load_profile("smoke", ["molecules"]).plans[0].seeds
    assert select(replace(SMOKE, seeds=seeds, limit=10_000, dtype="float32")).folder == Path("results/smoke")


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [kind_of_device(name) for name in ("auto", "cpu", "cuda", "cuda:3")] == ["auto", "cpu", "cuda", "cuda"]
    with pytest.raises(UsageError, match=r"must be auto, cpu, cuda or cuda:N"):
        kind_of_device("cuda:x")
    for here, there in (("cpu", "cuda"), ("cuda", "cpu")):
        monkeypatch.setattr(device, "device_kind", lambda kind=here: kind)
        assert select(replace(SMOKE, device=here)).folder == Path("results/smoke")
        moved = select(replace(SMOKE, device=there))
        assert moved.profile.device == there
        assert moved.folder.name.startswith("adhoc-smoke-molecules-")


def test_a_changed_profile_judges_no_claims() -> None:
    request = Request(profile="claims-moe", limit=1)
    selection = select(request)
    assert any(plan.claims for plan in load_profile("claims-moe").plans)
    assert not any(plan.claims for plan in selection.profile.plans)
    assert "the claims of the profile are not judged" in selection.notes[0]
    assert any(plan.claims for plan in select(Request(profile="claims-moe", seeds=1)).profile.plans)


def test_a_device_that_is_not_here_is_refused_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "device_kind", lambda: "cpu")
    check_device("auto")
    check_device("cpu")
    with pytest.raises(UsageError, match="no CUDA device here"):
        check_device("cuda")
    monkeypatch.setattr(device, "device_kind", lambda: "cuda")
    monkeypatch.setattr(device, "device_count", lambda: 2)
    check_device("cuda:1")
    with pytest.raises(UsageError, match="has 2"):
        check_device("cuda:2")
