"""What a table takes: the arithmetic, and the smallest machine that is large and quick enough."""

import pytest

from sparsebench.suites.runner.show.reproduction.needs import (
    EIGHT_GPUS,
    H100,
    HERE,
    LARGE_GPU,
    ONE_GPU,
    Machine,
    has_reader,
    hours,
    memory,
    needs_of,
)
from sparsebench.suites.runner.show.reproduction.plan import Plan, Work, plan_of, plans


def profile(*work: Work, layout: str = "") -> Plan:
    return Plan(suite="llm", profile="quick", columns={"a": ("b",)}, work=work, layout=layout)


def test_hours_are_operations_over_the_rate() -> None:
    work = Work(what="w", model="mistral-7b", tokens=1e9, passes=6)
    assert hours(work, ONE_GPU) == pytest.approx(6 * 7241732096 * 1e9 / (0.4 * 989e12) / 3600)
    (line,) = needs_of(profile(work)).arithmetic
    assert line.startswith("w: 6 × 7.24 billion parameters × 1 G tokens / (40 % of the 989 TFLOP/s") and "30 h" in line


def test_models_that_train_lie_in_memory_together() -> None:
    scored = [Work(what="", model=name, tokens=1) for name in ("mistral-7b", "llama-2-7b")]
    assert memory(scored) == 2 * 7241732096
    trained = [Work(what="", model=name, tokens=1, passes=6) for name in ("vit-b-16", "vit-s-16")]
    assert memory(trained) == 16 * (85798656 + 21665664)


@pytest.mark.parametrize(
    ("model", "tokens", "machine"),
    [
        ("graphsgpt-1w", 1e6, HERE),
        ("graphsgpt-1w", 1e10, ONE_GPU),
        ("mistral-7b", 1.0, ONE_GPU),
        ("mixtral-8x7b", 1.0, LARGE_GPU),
    ],
)
def test_the_smallest_machine_that_can(model: str, tokens: float, machine: Machine) -> None:
    needs = needs_of(profile(Work(what="", model=model, tokens=tokens)))
    assert (needs.machine, needs.state) == (machine, machine.state)


def test_a_recipe_is_for_the_gpus_that_it_names() -> None:
    needs = needs_of(plan_of("v1-sampling"))
    assert needs.machine == EIGHT_GPUS and needs.bytes == 8 * 80e9
    assert needs.hours == pytest.approx(6 * plans().models["llama-moe-3.5b-4of16"].active * 200e9 / (8 * H100) / 3600)


def test_what_is_impossible_says_why() -> None:
    needs = needs_of(plan_of("padnet-glue"))
    assert needs.state == "impossible" and "GLUE" in needs.because and needs.machine is None
    work = Work(what="", model="graphsgpt-1w", tokens=1)
    assert has_reader("llama_moe_v1") and not has_reader("no_such")
    assert needs_of(profile(work, layout="llama_moe_v1")).state == "run here"
    assert "no_such" in needs_of(profile(work, layout="no_such")).because
