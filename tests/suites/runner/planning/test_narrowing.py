"""Names on the command line, given to the suites that know them."""

import pytest

from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.planning.narrowing import Named, narrow_profile
from sparsebench.suites.runner.planning.profile import load_profile


def rows(profile) -> dict[str, list[str]]:
    return {plan.suite: [row.label for row in plan.methods] for plan in profile.plans}


def test_one_command_runs_methods_over_all_suites() -> None:
    profile, notes = narrow_profile(load_profile("smoke"), Named(rows=["linear_probe", "ssf"]), 1)
    assert rows(profile) == {name: ["linear_probe", "ssf"] for name in ("llm", "molecules", "vtab")}
    assert {plan.seeds for plan in profile.plans} == {1} and not notes


def test_each_suite_takes_what_it_knows() -> None:
    """`dpo` is a method of one suite, "LoRA r=4" a row of two profiles."""
    profile, notes = narrow_profile(load_profile("smoke"), Named(rows=["dpo", "LoRA r=4"]), None)
    assert rows(profile) == {"llm": ["LoRA r=4", "dpo"], "vtab": ["LoRA r=4"]}
    assert notes == ["molecules is left out: it has none of the named rows"]
    profile, notes = narrow_profile(load_profile("smoke"), Named(tasks=["freesolv"], backbones=["ecfp4"]), None)
    (plan,) = profile.plans
    assert (plan.suite, [task.name for task in plan.tasks], plan.backbones) == ("molecules", ["freesolv"], ("ecfp4",))
    assert all("none of the named tasks and backbones" in note for note in notes) and len(notes) == 2


def test_what_no_suite_knows_is_refused() -> None:
    smoke = load_profile("smoke")
    with pytest.raises(UsageError, match="no suite of the profile has the method 'lorra'; did you mean lora"):
        narrow_profile(smoke, Named(rows=["lorra"]), None)
    with pytest.raises(UsageError, match="has the task 'freesolf'; did you mean freesolv"):
        narrow_profile(smoke, Named(tasks=["freesolf"]), None)
    with pytest.raises(UsageError, match="no suite has one of the named"):
        narrow_profile(smoke, Named(tasks=["freesolv"], rows=["dpo"]), None)


def test_rows_that_differ_in_their_backbones_alone_run_once_on_a_named_one() -> None:
    """`dense` and `dense untrained` of `quick`, whose tasks keep them apart."""
    quick = load_profile("quick", ["llm"])
    named = Named(rows=["dense", "continual_pretraining"], tasks=["own_text"], backbones=["small_llama"])
    profile, notes = narrow_profile(quick, named, 1)
    assert [row.label for row in profile.plans[0].methods] == ["dense", "dense trained"]
    merged = ["dense untrained", "not compressed"]
    same = "is the same as 'dense': it runs once"
    assert notes == [f"on the named backbones and tasks {label!r} {same}" for label in merged]
