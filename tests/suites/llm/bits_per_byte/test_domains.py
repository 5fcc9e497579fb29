"""Several domains in one cell, and the router's load in the record."""

import pytest

from sparsebench.reports.panels.router_load import PANEL, RouterLoad
from sparsebench.reports.routers.health import from_details
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.llm.backbones import tiny
from sparsebench.suites.llm.language.task import CausalLM
from sparsebench.suites.llm.tasks.synthetic.synthetic import SyntheticText
from sparsebench.suites.methods.moe.moe_random import RandomSplit

from ..letters import Letters


def test_the_mean_is_that_of_the_domains_and_each_is_the_single_task(lm: CausalLM, context: Context) -> None:
    scored = Letters().evaluate(lm, context)
    single = SyntheticText().evaluate(lm, context).metrics["bits_per_byte"]
    chain, other = (scored.metrics[f"bits_per_byte {name}"] for name in Letters.domains)
    assert chain == single
    mean = scored.metrics["bits_per_byte"]
    assert mean.value == pytest.approx((chain.value + other.value) / 2)
    assert chain.stderr is not None
    assert (other.stderr, mean.stderr) == (None, None), "it is one document, whose windows say nothing of another"
    assert scored.examples["cluster"] == [0, 1, 0, 0]
    assert (mean.n, scored.main) == (4, "bits_per_byte")
    assert scored.examples["domain"] == ["chain", "chain", "monotonous", "monotonous"]
    assert dict(scored.details) == {}


def test_the_load_counts_what_the_router_chose(context: Context) -> None:
    outcome = Letters().run([RandomSplit(num_experts=4, top_k=1)], tiny.load, context)
    kept = outcome.details[PANEL.key]
    assert kept["layers"] == [0, 1]
    shares = {d: [[float(s) / 1000 for s in row.split()] for row in rows] for d, rows in kept["per_mille"].items()}
    assert [len(row) for rows in shares.values() for row in rows] == [4] * 4
    assert all(sum(row) == pytest.approx(1, abs=1e-3) for rows in shares.values() for row in rows)
    load = RouterLoad((0, 1), {d: tuple(map(tuple, rows)) for d, rows in shares.items()})
    assert outcome.metrics["router_specialisation"].value == pytest.approx(load.specialisation(), abs=2e-3)


def test_a_single_domain_task_keeps_its_load(context: Context) -> None:
    outcome = SyntheticText().run([RandomSplit()], tiny.load, context)
    assert list(outcome.details[PANEL.key]["per_mille"]) == ["synthetic"]
    assert list(from_details(outcome.details["router_health"]).domains) == ["synthetic"]


def test_health_is_that_of_the_load(context: Context) -> None:
    outcome = Letters().run([RandomSplit(num_experts=4, top_k=1)], tiny.load, context)
    health = from_details(outcome.details["router_health"])
    shares = outcome.details[PANEL.key]["per_mille"]
    for domain in Letters.domains:
        for row, numbers in zip(shares[domain], health.domains[domain], strict=True):
            load = [float(share) / 1000 for share in row.split()]
            assert numbers.worst == pytest.approx(4 * max(load), abs=1e-3)
            assert len(numbers.dead) == load.count(0.0)
            assert numbers.token_entropy is not None
