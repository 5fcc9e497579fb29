"""Options are chosen on the validation part, then everything labelled trains; the test part is scored once."""

import itertools
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sparsebench.reports.records.record import Metric
from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import Curves, Method, NotApplicable
from sparsebench.suites.contracts.task import Outcome
from sparsebench.suites.contracts.traits import RELEASED_SETTINGS
from sparsebench.suites.methods.adapters.adapter import Adapter
from sparsebench.suites.methods.baselines.full_tuning import FullTuning
from sparsebench.suites.methods.baselines.linear_probe import LinearProbe
from sparsebench.suites.methods.baselines.random_forest import RandomForestMethod
from sparsebench.suites.methods.moe.moe_random import RandomSplit
from sparsebench.suites.prediction import chosen, passes
from sparsebench.suites.prediction.chosen import alternatives, choose, refuse_own_choice
from sparsebench.suites.prediction.data import Splits, Withheld
from sparsebench.suites.prediction.task import predict
from sparsebench.suites.prediction.trials import Trial
from sparsebench.suites.vtab.backbones import tiny
from sparsebench.suites.vtab.body import VisionBody
from sparsebench.suites.vtab.tasks.synthetic import Blobs

from .toy import Chosen, Rows, splits


def cell(folder: Path | None = None) -> Context:
    budget = Budget(epochs=3, batch_size=8, test_examples=15)
    return Context(suite="vtab", task="toy", seed=0, budget=budget, folder=folder)


@dataclass(frozen=True, kw_only=True)
class Spy(Method):
    """Looks at what it is given; its head is right for classes of the toy where `learning_rate` is the best one."""

    learning_rate: float = 0.01
    scale: float = 1.0
    penalties_seen: tuple[str, ...] = ()

    @property
    def trains(self) -> str:
        return "all"

    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        return backbone

    def fit(self, model: nn.Module, data: Any, context: Context) -> Curves:
        SEEN.append((self, data, context))
        if self.learning_rate > 0.02:
            raise FloatingPointError("training loss is nan")
        right = self.learning_rate < 0.005 and self.scale > 5
        _solve(model, data, 1.0 if right else -1.0)
        context.ledger.count(model.parameters())
        context.ledger.add(seconds=2.0, flops=5.0)
        return {}


SEEN: list[tuple[Spy, Any, Context]] = []


@torch.no_grad()
def _solve(model: Any, data: Any, sign: float) -> None:
    """Make the head tell the classes apart by the first number of a row, or the wrong way round."""
    features = predict(model.body, data.train, data, 8)
    raw = torch.stack([item for item, _ in data.train])[:, 0]
    weight = torch.linalg.lstsq(torch.cat([features, torch.ones(len(features), 1)], 1), raw[:, None]).solution[:, 0]
    model.head.weight.copy_(torch.stack([-weight[:-1], weight[:-1]]) * sign)
    model.head.bias.copy_(torch.stack([-weight[-1], weight[-1]]) * sign)


@pytest.fixture
def run() -> Any:
    SEEN.clear()
    return Chosen().run([Spy()], Rows, cell())


def test_one_option_after_the_other(run: Any) -> None:
    tried = [(spy.learning_rate, spy.scale) for spy, _, _ in SEEN]
    assert tried[:3] == [(0.003, 1.0), (0.01, 1.0), (0.03, 1.0)]
    assert tried[3:] == [(0.003, 0.01), (0.003, 0.1), (0.003, 10.0), (0.003, 100.0), (0.003, 10.0)]
    choice = run.details["choice"]
    assert choice["chosen"] == {"learning_rate": 0.003, "scale": 10.0}
    scales = [trial["options"] for trial in choice["trials"][3:]]
    assert scales == [{"learning_rate": 0.003, "scale": scale} for scale in (0.01, 0.1, 10.0, 100.0)]
    assert choice["trials"][2]["reason"] == "training loss is nan" and "score" not in choice["trials"][2]
    assert choice["trials"][0]["seconds"] == 2.0 and choice["trials"][0]["flops"] == 5.0


def test_what_a_release_has_for_the_task_is_not_chosen() -> None:
    """One trial, which gives the validation score, and the last training; the record says what it was trained with."""

    class Known(Chosen):
        published_as = "svhn"
        gives = Chosen.gives | {RELEASED_SETTINGS}

    @dataclass(frozen=True, kw_only=True)
    class Released(Spy):
        @property
        def needs(self) -> frozenset[str]:
            return frozenset({RELEASED_SETTINGS})

        def on(self, data_set: str) -> Any:
            return replace(self, scale={"svhn": 100.0}[data_set])

        def settled(self, data_set: str) -> dict[str, float]:
            return {"scale": self.on(data_set).scale}

    SEEN.clear()
    outcome = Known().run([Released(learning_rate=0.003)], Rows, cell())
    assert [(spy.learning_rate, spy.scale) for spy, _, _ in SEEN] == [(0.003, 100.0)] * 2
    choice = outcome.details["choice"]
    assert choice["chosen"] == {"scale": 100.0} and choice["on"] == "nothing: the release has them"
    assert len(choice["trials"]) == 1 and outcome.details["protocol"]["chosen"] == {"scale": 100.0}


def test_trials_see_no_test_rows_and_the_last_training_sees_all_labelled_ones(run: Any) -> None:
    whole = splits("classification")
    for _, data, _ in SEEN[:-1]:
        assert len(data.train) == 40
        assert np.allclose(torch.stack([item for item, _ in data.val]), whole.val.inputs)
    assert all(isinstance(data.test, Withheld) for _, data, _ in SEEN)
    _, last, _ = SEEN[-1]
    assert len(last.train) == 52
    assert run.metrics["accuracy"].n == 15, "the budget's test examples"
    rows = np.concatenate([whole.train.inputs, whole.val.inputs])
    assert np.allclose(torch.stack([item for item, _ in last.train]), rows)


def test_scores_costs_and_what_readers_must_know(run: Any) -> None:
    assert run.main_metric == "accuracy" and set(run.metrics) == {"accuracy", "val accuracy"}
    assert run.metrics["accuracy"].n == 15 and run.metrics["accuracy"].value == 1.0
    assert run.metrics["val accuracy"].n == 12 and run.metrics["val accuracy"].value == 1.0
    assert len(run.examples["correct"]) == 15
    assert run.training.seconds == 2.0, "of the last training alone"
    assert run.costs is not None
    protocol = run.details["protocol"]
    assert protocol["rows"] == 52 and protocol["chosen"] == {"learning_rate": 0.003, "scale": 10.0}
    assert protocol["head"] == 2 * 4 + 2
    assert protocol["trained"] == 2 * 4 + 2 + 4 * 4 + 4


def test_checkpoints_of_trials_lie_apart(tmp_path: Path) -> None:
    SEEN.clear()
    Chosen().run([Spy()], Rows, cell(tmp_path))
    folders = [context.folder for _, _, context in SEEN]
    assert len(set(folders)) == len(folders) == 8
    assert {folder.parent for folder in folders if folder} == {tmp_path}


def test_a_stopped_cell_takes_up_the_trials_that_had_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Chosen().run([Spy()], Rows, cell(tmp_path / "whole"))

    def stop(*_: object) -> None:
        if len(SEEN) == 4:
            raise KeyboardInterrupt

    SEEN.clear()
    monkeypatch.setattr(Spy, "prepare", lambda _, backbone, context: (stop(), backbone)[1])
    with pytest.raises(KeyboardInterrupt):
        Chosen().run([Spy()], Rows, cell(tmp_path / "stopped"))
    monkeypatch.undo()
    cut = tmp_path / "stopped" / "trial 1.json"
    cut.write_text(cut.read_text()[:-9])
    again = Chosen().run([Spy()], Rows, cell(tmp_path / "stopped"))
    ran = [context.folder.name for _, _, context in SEEN[4:] if context.folder]
    assert ran == ["trial 1", "trial 4", "trial 5", "trial 6", "last"]
    assert _untimed(again) == _untimed(whole)


def test_the_same_seed_gives_the_same_choice_and_score() -> None:
    method = FullTuning(learning_rate=0.05)
    first, again = (Chosen().run([method], Rows, cell()) for _ in range(2))
    assert first.metrics == again.metrics and first.details["choice"]["chosen"] == again.details["choice"]["chosen"]
    scores = {trial["options"]["learning_rate"]: trial["score"] for trial in first.details["choice"]["trials"]}
    assert list(scores) == pytest.approx([0.015, 0.05, 0.15])
    assert scores[first.details["choice"]["chosen"]["learning_rate"]] == max(scores.values())


def test_a_probe_is_fitted_with_the_penalty_that_was_chosen() -> None:
    outcome = Chosen().run([LinearProbe(penalties=(0.01, 100.0))], Rows, cell())
    trials = outcome.details["choice"]["trials"]
    assert [trial["options"] for trial in trials] == [{"penalties": [0.01]}, {"penalties": [100.0]}]
    assert outcome.details["choice"]["chosen"] == {"penalties": [0.01]}


class Images(Chosen):
    """The protocol on drawn images."""

    target = Blobs.target

    def load(self) -> Splits:
        return Blobs().load()


FROZEN: dict[str, tuple[Method, int, float]] = {
    "probe": (LinearProbe(penalties=(0.01, 100.0)), 2, 0.5),
    "forest": (RandomForestMethod(trees=2), 1, 0.8),
    "adapter": (Adapter(rank=2, blocks=1, learning_rate=0.01), 3, 0.9),
}
"""A method, how many trials it makes, and what part of the passes without sharing it makes at most."""


@pytest.mark.parametrize("kind", FROZEN)
def test_what_frozen_weights_give_is_computed_once_a_cell(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    method, trials, most = FROZEN[kind]
    calls: list[int] = []
    embed = VisionBody._embed
    monkeypatch.setattr(VisionBody, "_embed", lambda body, inputs: (calls.append(1), embed(body, inputs))[1])
    shared = Images().run([method], tiny.load, cell())
    fewer = len(calls)
    monkeypatch.setattr(passes, "LARGEST", -1)
    alone = Images().run([method], tiny.load, cell())
    assert len(shared.details["choice"]["trials"]) == trials
    assert fewer <= most * (len(calls) - fewer)
    assert _untimed(shared) == _untimed(alone)


def _untimed(outcome: Outcome) -> list[Any]:
    """All of an outcome but seconds and memory."""
    assert outcome.training is not None
    trials = [{**trial, "seconds": None} for trial in outcome.details["choice"]["trials"]]
    details = {**outcome.details, "choice": {**outcome.details["choice"], "trials": trials}}
    training = replace(outcome.training, seconds=0.0, peak_memory=None)
    return [outcome.metrics, outcome.examples, outcome.curves, training, details]


def test_a_training_is_said_to_take_what_it_was_spared(monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute for each pass, by the clock of the passes: the second trial has none of its own."""
    monkeypatch.setattr(passes, "perf_counter", partial(next, itertools.count(step=60.0)))
    outcome = Chosen().run([LinearProbe(penalties=(0.01, 100.0))], Rows, cell())
    assert outcome.training is not None and outcome.training.seconds is not None
    first, second = (trial["seconds"] for trial in outcome.details["choice"]["trials"])
    assert first < 60, "computed: the training's own clock ran along"
    assert second // 60 == 5 + 2
    assert outcome.training.seconds // 60 == 5 + 2 + 2, "of which two are the validation part, now trained on, too"


def test_a_head_that_chooses_for_itself_is_not_applicable() -> None:
    with pytest.raises(NotApplicable, match="RandomSplit: its head is fitted by a choice on the validation part"):
        Chosen().run([RandomSplit()], Rows, cell())
    assert alternatives([RandomSplit(train="all")])


def test_a_scale_that_is_a_rule_by_name_is_left_alone() -> None:
    mixture = RandomSplit(train="all", scale="exact")
    assert [name for name, _ in alternatives([mixture])] == ["learning_rate"]
    assert [name for name, _ in alternatives([mixture, Spy()])] == ["learning_rate", "scale"]

    def attempt(trial: Trial, number: int) -> None:
        trial.score = _metric(float(number), True)

    trials, best = choose([mixture, Spy()], attempt)
    assert len(trials) == 7 and {trial.chain[0].scale for trial in trials} == {"exact"}  # type: ignore[attr-defined]
    assert best.chain[1].scale == 100.0  # type: ignore[attr-defined]


def _metric(value: float, higher: bool) -> Metric:
    return Metric(value=value, stderr=None, n=1, higher_is_better=higher, chance=None, unit="")


@pytest.mark.parametrize(("higher", "chosen_rate"), [(True, 0.01), (False, 0.003)])
def test_the_better_direction_is_the_metric_s(higher: bool, chosen_rate: float) -> None:
    values = iter([1.0, 2.0, 2.0, 1.5, 1.5, 1.5, 1.5])

    def attempt(trial: Trial, number: int) -> None:
        trial.score = _metric(next(values), higher)

    trials, best = choose([Spy()], attempt)
    assert best.chain[0].learning_rate == chosen_rate, "of two equal ones the earlier"  # type: ignore[attr-defined]
    assert len(trials) == 7


def test_nothing_to_choose_is_one_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chosen, "FACTORS", {})
    attempts = []

    def attempt(trial: Trial, number: int) -> None:
        attempts.append(number)
        trial.score = _metric(0.5, True)

    trials, best = choose([Spy()], attempt)
    assert attempts == [0] and trials == [best] and best.options == {}


def test_all_trials_that_diverge_are_an_error() -> None:
    def attempt(trial: Trial, number: int) -> None:
        trial.reason = f"trial {number} is nan"

    with pytest.raises(FloatingPointError, match="every trial diverged: trial 0 is nan; trial 1 is nan"):
        choose([Spy()], attempt)


@dataclass(frozen=True, kw_only=True)
class Taught(Spy):
    """With a teacher of eleven parameters, ten of which train."""

    def fit(self, model: nn.Module, data: Any, context: Context) -> Curves:
        teacher = nn.Linear(10, 1)
        teacher.bias.requires_grad_(False)
        context.ledger.of_teacher().size(teacher)
        context.ledger.of_teacher().attribute(teacher, seconds=1.0, flops=2.0)
        context.ledger.count(parameter for parameter in teacher.parameters() if parameter.requires_grad)
        return super().fit(model, data, context)


def test_parameters_of_a_teacher_are_not_those_of_the_row(run: Any) -> None:
    """With and without head: inference does not need them."""
    outcome = Chosen().run([Taught()], Rows, cell())
    assert outcome.training is not None and outcome.training.teacher is not None
    assert (outcome.training.teacher.params_total, outcome.training.teacher.params) == (11, 10)
    assert outcome.details["protocol"]["trained"] == run.details["protocol"]["trained"] > 0
    assert outcome.training.params == run.training.params + 10


def test_a_row_that_chooses_by_itself_is_refused() -> None:
    with pytest.raises(NotApplicable, match="leave out `choose` and `among`"):
        refuse_own_choice([Adapter(choose="learning_rate", among=(0.1, 0.2))])
