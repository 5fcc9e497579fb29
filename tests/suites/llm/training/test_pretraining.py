"""Continual pre-training on two toy domains: scores by hand, methods that train, the order of the data."""

import dataclasses
from typing import Any

import pytest
import torch

from sparsebench.data.text.domains import DOMAINS
from sparsebench.data.text.training_parts import SOURCES
from sparsebench.reports.records.record import Metric
from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.metrics import Scores
from sparsebench.suites.llm.backbones import tiny
from sparsebench.suites.llm.bits_per_byte.task import ratio, window_bits
from sparsebench.suites.llm.language.task import CausalLM
from sparsebench.suites.llm.tasks.pretraining_domains import PretrainingDomains
from sparsebench.suites.llm.tasks.synthetic.synthetic_domains import SyntheticDomains
from sparsebench.suites.llm.training.pretraining import MAIN
from sparsebench.suites.methods.baselines.dense import Dense
from sparsebench.suites.methods.baselines.full_tuning import FullTuning
from sparsebench.suites.methods.moe.moe_random import RandomSplit
from sparsebench.suites.methods.shared.tune import Tune
from sparsebench.suites.training.data_order import MapOrder
from sparsebench.suites.training.processes import Processes

CPU = torch.device("cpu")
CHAIN = [RandomSplit(num_experts=4, top_k=2, train="none"), Tune(train="all", learning_rate=1e-2)]


def surroundings(**changes: Any) -> Context:
    budget = Budget(**{"tokens": 12_000, "batch_size": 8, "test_examples": 6, "calibration_examples": 4, **changes})
    return Context(suite="llm", task="synthetic_domains", seed=0, budget=budget)


def test_rows_are_uniform_over_domains_and_parts_are_disjoint() -> None:
    task = SyntheticDomains()
    data = task.setup(tiny.load, surroundings()).data
    assert data.groups == task.domains
    counts = [len(data.only([domain]).train) for domain in task.domains]
    assert counts[0] == counts[1] > 100
    for domain in task.domains:
        train, val, test = (set(task.documents(domain, part)) for part in ("train", "val", "test"))
        assert not (train & val or train & test or val & test)
        assert train | val == set(task.documents(domain, "calibration"))


def test_scores_by_hand(lm: CausalLM) -> None:
    task = SyntheticDomains()
    context = surroundings()
    outcome = task.run([Dense()], lambda _: lm, context)
    data = task.setup(lambda _: lm, context).data
    held_out = []
    for domain in task.domains:
        rows = [row.examples[0].ids for row in data.only([domain]).val.train[:6]]
        bits = window_bits(lm.model, torch.tensor(rows), 8)
        held_out.append(ratio(bits, [63] * len(bits))[0])  # a token is a byte
    assert outcome.metrics[f"val {MAIN}"].value == pytest.approx(sum(held_out) / 2)
    by_domain = [outcome.metrics[f"{MAIN} {domain}"] for domain in task.domains]
    assert outcome.metrics[MAIN].value == pytest.approx(sum(one.value for one in by_domain) / 2)
    assert outcome.metrics["worst domain"] == max(by_domain, key=lambda one: one.value)
    assert outcome.examples["domain"] == ["forwards"] * 6 + ["backwards"] * 6
    assert outcome.training is None and outcome.main_metric == MAIN


@pytest.mark.parametrize("chain", [[FullTuning(learning_rate=1e-2)], CHAIN], ids=["dense", "mixture"])
def test_methods_train(chain: list[Any]) -> None:
    before = SyntheticDomains().run(chain[:-1] or [Dense()], tiny.load, surroundings())
    outcome = SyntheticDomains().run(chain, tiny.load, surroundings())
    for name in (MAIN, f"val {MAIN}", "worst domain"):
        assert outcome.metrics[name].value < before.metrics[name].value - 0.5, name
    assert outcome.training is not None and outcome.training.tokens is not None
    assert 12_000 <= outcome.training.tokens < 12_000 + 8 * 64
    assert ("router_specialisation" in outcome.metrics) == (len(chain) == 2)


def test_the_order_of_the_data_is_that_of_task_and_seed() -> None:
    def order(method: FullTuning, seed: int, task: str = "synthetic_domains") -> list[str]:
        context = dataclasses.replace(surroundings(), seed=seed, task=task)
        setup = SyntheticDomains().setup(tiny.load, context)
        drawn = MapOrder(setup.data, method.settings(setup.context), Processes(CPU)).take(5)
        return [str(one.batch["input_ids"].tolist()) for one in drawn]

    first = order(FullTuning(), 0)
    assert first == order(FullTuning(learning_rate=0.1, warmup=0.5), 0)
    assert first != order(FullTuning(), 1) and first != order(FullTuning(), 0, "another")


def test_an_empty_domain_is_named() -> None:
    class Empty(SyntheticDomains):
        def documents(self, domain: str, part: Any) -> tuple[str, ...]:
            if domain == "backwards" and part == "train":
                return ()
            return super().documents(domain, part)

    with pytest.raises(ValueError, match="the text of 'backwards' has 0 tokens"):
        Empty().setup(tiny.load, surroundings())


def test_a_domain_with_nan_is_named(lm: CausalLM) -> None:
    class Marked(SyntheticDomains):
        def documents(self, domain: str, part: Any) -> tuple[str, ...]:
            texts = super().documents(domain, part)
            return tuple(f"#{text}" for text in texts) if domain == "backwards" else texts

    with torch.no_grad():
        mark = lm.tokenizer("#")["input_ids"][0]
        lm.model.get_input_embeddings().weight[mark] = torch.nan  # type: ignore[operator]
    with pytest.raises(FloatingPointError, match="bits per byte of 'backwards' is NaN"):
        Marked().run([Dense()], lambda _: lm, surroundings())
    with pytest.raises(FloatingPointError, match="the loss of 'backwards' is NaN"):
        Marked().run([FullTuning()], lambda _: lm, surroundings())


class Asked:
    """A set of questions that remembers how many documents it was asked for."""

    harness_name = "riddles"

    def evaluate(self, subject: CausalLM, context: Context) -> Scores:
        count = context.budget.test_examples
        share = Metric(value=1.0, n=count, higher_is_better=True, unit="share")
        return Scores("acc", {"acc": share}, {"acc": [1] * (count or 0)})


def test_sets_of_questions_are_for_models_that_read_them(lm: CausalLM) -> None:
    class Asking(SyntheticDomains):
        questions: Any = (Asked(),)

    outcome = Asking().run([Dense()], lambda _: lm, surroundings(test_examples=2))
    assert outcome.metrics["accuracy riddles"].n == 50 and len(outcome.examples["accuracy riddles"]) == 50
    lm.model.config.max_position_embeddings = 512  # type: ignore[union-attr]
    outcome = Asking().run([Dense()], lambda _: lm, surroundings(test_examples=2))
    assert "accuracy riddles" not in outcome.metrics
    assert outcome.details["questions"] == "not scored: the model reads 512 tokens, a question may have more"


def test_the_real_task_names_all_of_its_sources() -> None:
    assert set(PretrainingDomains.sources) == set(SOURCES) and PretrainingDomains.domains == DOMAINS
