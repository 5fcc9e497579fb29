"""iDAT in every suite: both models learn, the student stays alone, and its controls do what they say."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.adapters import adapter_sets, attach, preset
from sparsebench.models.distillation import Ensemble
from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Setup
from sparsebench.suites.contracts.method import NotApplicable
from sparsebench.suites.methods.adapters.adapter import Adapter
from sparsebench.suites.methods.pair.idat import InverseDistillationTuning
from sparsebench.suites.runner.conformance import methods as check
from sparsebench.suites.runner.discovery.registry import find
from sparsebench.suites.training.checkpoint import OtherTrainingError

from .pairs import BUDGET, ENCODERS, GRAPHS, PAIRS, VIT_AND_CNN, VITS, WRITERS, Pair

RATE: Any = {"learning_rate": 0.02}


def idat(pair: Pair, **options: Any) -> InverseDistillationTuning:
    return InverseDistillationTuning(**{"teacher": pair.teacher, "rank": 4, **RATE, **options})


def state_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def trained_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_a_pair_in_every_suite(pair: Pair) -> None:
    """The three parts of the loss; costs of training are those of both models, and of inference the student's."""
    method = idat(pair)
    outcome = pair.run(method)
    for part in ("student", "teacher", "distillation"):
        values = [value for _, value in outcome.curves[f"train {part}"]]
        assert len(values) == BUDGET.steps and all(value > 0 for value in values)
    for name in ("student", "teacher"):
        (start, before), (end, after) = outcome.curves[f"std of adapter weights, {name}"]
        assert (start, end) == (0.0, BUDGET.steps) and 0 < before != after > 0
    setup = pair.setup(method)
    student = method.prepare(setup.model, setup.context)
    teacher = method._teacher().set_up(setup.context).model
    assert outcome.training is not None and outcome.costs is not None and outcome.training.flops
    assert outcome.training.params == trained_parameters(student) + trained_parameters(teacher)
    assert outcome.costs.params_total == sum(parameter.numel() for parameter in student.parameters())
    apart = outcome.training.teacher
    assert apart is not None and apart.flops and apart.seconds and outcome.training.seconds
    assert apart.params_total == sum(parameter.numel() for parameter in teacher.parameters())
    assert apart.params == trained_parameters(teacher)
    assert 0 < apart.flops < outcome.training.flops and 0 < apart.seconds < outcome.training.seconds
    plain = pair.run(Adapter(rank=4, init="zero_up", **RATE))
    assert plain.training is not None and plain.costs is not None and plain.training.flops
    assert (
        outcome.training.flops - apart.flops == pytest.approx(plain.training.flops) and plain.training.teacher is None
    )
    assert outcome.costs.flops == plain.costs.flops and outcome.costs.params_total == plain.costs.params_total
    assert all(metric.value == metric.value for metric in outcome.metrics.values())


@pytest.mark.parametrize("pair", [VITS, VIT_AND_CNN, WRITERS], ids=str)
def test_without_the_distance_the_student_is_the_plain_adapter(pair: Pair) -> None:
    """To the last bit: same data in the same order, same first weights."""
    student, _ = pair.fit(idat(pair, weight=0.0))
    plain = Adapter(rank=4, init="zero_up", **RATE)
    setup = pair.setup(plain)
    model = plain.prepare(setup.model, setup.context)
    plain.fit(model, setup.data, setup.context)
    own, expected = state_of(student), state_of(model)
    assert own.keys() == expected.keys()
    assert all(torch.equal(own[name], expected[name]) for name in own)
    distilled, _ = pair.fit(idat(pair))
    assert any(not torch.equal(value, own[name]) for name, value in state_of(distilled).items())


@pytest.mark.parametrize("pair", [VITS, VIT_AND_CNN, GRAPHS], ids=str)
def test_the_teacher_moves_and_what_is_frozen_stays(pair: Pair) -> None:
    """Parameters and buffers, batch statistics too; in plain float32, where the release never steps its teacher."""
    method = idat(pair)
    before = state_of(method._teacher().set_up(pair.setup(method).context).model)
    _, teacher = pair.fit(method)
    trains = {name for name, parameter in teacher.model.named_parameters() if parameter.requires_grad}
    moved = {name for name, value in state_of(teacher.model).items() if not torch.equal(value, before[name])}
    assert moved and moved <= trains
    assert {"head.weight", "head.bias"} <= moved


@pytest.mark.parametrize("options", [{"teacher_train": "none"}, {"teacher_learning_rate": 0.0}])
def test_a_teacher_that_is_never_stepped(options: Any) -> None:
    """What the release does without mixed precision: the student still learns from a random head."""
    method = idat(VITS, **options)
    before = state_of(method._teacher().set_up(VITS.setup(method).context).model)
    student, teacher = VITS.fit(method)
    assert all(torch.equal(value, before[name]) for name, value in state_of(teacher.model).items())
    alone, _ = VITS.fit(idat(VITS, weight=0.0))
    assert not torch.equal(student.head.weight, alone.head.weight)  # type: ignore[union-attr]


def test_the_gradient_of_the_distance_reaches_the_teacher_unless_it_is_detached() -> None:
    """With both own losses switched off."""
    off = {"student_loss": 0.0, "teacher_loss": 0.0, "weight_decay": 0.0, "init": "normal"}
    for detached in (False, True):
        method = idat(VITS, detach_teacher=detached, **off)
        before = state_of(method._teacher().set_up(VITS.setup(method).context).model)
        student, teacher = VITS.fit(method)
        moved = {name for name, value in state_of(teacher.model).items() if not torch.equal(value, before[name])}
        assert bool(moved) != detached
        assert any("adapter" in name for name in moved) != detached
        assert adapter_sets(student)


def test_the_teacher_has_a_schedule_of_its_own() -> None:
    _, late = VITS.fit(idat(VITS, teacher_warmup=1.0))
    _, early = VITS.fit(idat(VITS, teacher_warmup=0.1))
    _, same = VITS.fit(idat(VITS))
    assert torch.equal(early.model.head.weight, same.model.head.weight)  # type: ignore[union-attr]
    assert not torch.equal(late.model.head.weight, same.model.head.weight)  # type: ignore[union-attr]


@pytest.mark.parametrize("pair", [VITS, ENCODERS], ids=str)
def test_the_ensemble_is_both_models(pair: Pair) -> None:
    method = idat(pair, ensemble=True)
    model, _ = pair.fit(method)
    assert isinstance(model, Ensemble)
    inputs = pair.setup(method).context.batches()[0][0]
    with torch.no_grad():
        model.eval()
        expected = (model.first(inputs) + model.second(inputs)) / 2
        torch.testing.assert_close(model(inputs), expected)
    student, _ = pair.fit(idat(pair))
    assert all(torch.equal(value, model.first.state_dict()[name]) for name, value in state_of(student).items())
    outcome = pair.run(method)
    alone = pair.run(idat(pair))
    assert outcome.costs is not None and alone.costs is not None
    assert outcome.costs.params_total > 1.9 * alone.costs.params_total
    assert outcome.training is not None and outcome.training.teacher is not None


def test_costs_of_a_teacher_that_never_learns() -> None:
    """Its forward passes and its parameters, none of them trained."""
    outcome = VITS.run(idat(VITS, teacher_train="none"))
    plain = VITS.run(Adapter(rank=4, init="zero_up", **RATE))
    assert outcome.training is not None and plain.training is not None and outcome.training.flops
    frozen = outcome.training.teacher
    assert frozen is not None and frozen.params == 0 and frozen.params_total and frozen.flops and frozen.seconds
    assert outcome.training.params == plain.training.params
    assert outcome.training.flops - frozen.flops == pytest.approx(plain.training.flops)


def test_the_release() -> None:
    """Its adapters, 4 wide and not zero at first, in both models."""
    method = idat(VITS, faithful=True, adapter="idat_sequential", rank=8)
    setup = VITS.setup(method)
    student = method.prepare(setup.model, setup.context)
    (adapters,) = adapter_sets(student).values()
    expected = preset("idat_sequential", faithful=True)
    assert (adapters.config.r, adapters.config.init) == (expected.r, expected.init) == (4, "normal")  # type: ignore[attr-defined]
    teacher = method._teacher().set_up(setup.context).model
    assert [value.shape for value in state_of(teacher).values()] == [v.shape for v in state_of(student).values()]
    outcome = VITS.run(method)
    assert outcome.metrics["accuracy"].value > 0


@pytest.mark.parametrize("kind", ["mse", "kl"])
def test_it_learns(kind: Any) -> None:
    """Coloured blobs by random features, in a dozen epochs: four classes."""
    outcome = VITS.run(idat(VITS, kind=kind, t2=True), Budget(epochs=12, batch_size=16, test_examples=64))
    student = [value for _, value in outcome.curves["train student"]]
    teacher = [value for _, value in outcome.curves["train teacher"]]
    assert student[-1] < 0.96 * student[0] and teacher[-1] < 0.96 * teacher[0]
    assert outcome.metrics["accuracy"].value > 0.3


@pytest.mark.parametrize("pair", [ENCODERS, WRITERS], ids=str)
def test_a_budget_in_tokens_counts_those_of_the_student(pair: Pair) -> None:
    outcome = pair.run(idat(pair), replace(BUDGET, steps=None, tokens=400))
    assert outcome.training is not None and outcome.training.tokens
    setup = pair.setup(idat(pair))
    assert setup.context.tokens is not None
    most = setup.context.tokens(setup.data.collate(list(setup.data.train[: BUDGET.batch_size])))
    assert 400 <= outcome.training.tokens < 400 + 2 * most


def test_a_training_that_has_ended_is_read_with_both_models(tmp_path: Path) -> None:
    """The pair, its optimizers and the teacher's schedule are what a checkpoint holds."""
    method = idat(VITS, teacher_warmup=0.5)
    found = []
    for _ in range(2):
        setup = VITS.setup(method)
        context = replace(setup.context, folder=tmp_path)
        model = method.prepare(setup.model, context)
        curves = method.fit(model, setup.data, context)
        found.append((curves, state_of(model)))
    (first, trained), (again, read) = found
    assert first == again and all(torch.equal(value, read[name]) for name, value in trained.items())
    with pytest.raises(OtherTrainingError):
        setup = VITS.setup(method)
        other = idat(VITS, teacher_rank=3)
        context = replace(setup.context, folder=tmp_path)
        other.fit(other.prepare(setup.model, context), setup.data, context)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"faithful": True}, "none of the release"),
        ({"faithful": True, "adapter": "idat_sequential", "rank": 3}, "sets the release's own values of rank"),
        ({"rank": 0}, "rank=0"),
        ({"teacher_rank": 0}, "teacher_rank=0"),
        ({"weight": -1.0}, "weight=-1.0"),
        ({"temperature": 0.0}, "temperature=0.0"),
    ],
)
def test_values_that_cannot_be(options: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        InverseDistillationTuning(**options)


def test_a_divergence_of_regressed_values_is_refused() -> None:
    with pytest.raises(NotApplicable, match="this is regression"):
        GRAPHS.run(idat(GRAPHS, kind="kl"))


def test_other_token_numbers_are_refused_before_training() -> None:
    """A tokenizer with as many tokens that gives others."""

    def shifted(teacher: Setup) -> None:
        collate = type(teacher.data).collate

        class Shifted(type(teacher.data)):
            def collate(self, rows: Any) -> Any:
                batch = collate(self, rows)
                return {**batch, "input_ids": batch["input_ids"] + 1}

        object.__setattr__(teacher, "data", Shifted(**vars(teacher.data)))

    with pytest.raises(NotApplicable, match="distillation needs one vocabulary"):
        WRITERS.fit(idat(WRITERS), shifted)


BATTERY = [(GRAPHS, "tiny_encoder"), (ENCODERS, "tiny_encoder"), (WRITERS, "tiny")]


@pytest.mark.parametrize(("pair", "student"), BATTERY, ids=lambda value: str(value))
def test_conformance_beyond_images(pair: Pair, student: str, subtests: pytest.Subtests) -> None:
    """`test_check.py` has the default teacher, which goes with images only."""
    backbone = find("backbone", student, pair.suite)
    case = check.Case(idat(pair, init="normal"), "idat", pair.suite, backbone, pair.task)
    for rule in (check.save_and_load, check.gradients, check.bfloat16):
        with subtests.test(rule=rule.__name__):
            rule(case)


def test_attached_adapters_are_those_of_the_preset() -> None:
    """The corrected settings start both models as they are."""
    method = idat(VITS, adapter="idat_shared_parallel")
    setup = VITS.setup(method)
    batch = setup.context.batches()[0][0]
    with torch.no_grad():
        before = setup.model.eval()(batch)
        student = method.prepare(setup.model, setup.context)
        assert torch.equal(student.eval()(batch), before)
    other = VITS.setup(method).model
    attach(other, preset("idat_shared_parallel", r=4))
    assert trained_parameters(other) == trained_parameters(student)


def test_the_weight_of_the_distance_is_chosen_on_the_validation_part() -> None:
    """What stays is the run with that weight alone, costs of the teacher included."""
    method = idat(VITS, choose="weight", among=(0.0, 30.0))
    outcome = VITS.run(method)
    choice = outcome.details["choice"]
    scores = [trial["score"] for trial in choice["trials"]]
    chosen = choice["chosen"]["weight"]
    assert chosen == (0.0, 30.0)[scores.index(max(scores))] and len(scores) == 2
    alone = VITS.run(idat(VITS, weight=chosen))
    assert outcome.metrics == alone.metrics and outcome.metrics["val accuracy"].value == max(scores)
    assert outcome.curves == alone.curves
    both = (outcome.training, alone.training)
    assert both[0] is not None and both[1] is not None and both[0].teacher and both[1].teacher
    assert (both[0].flops, both[0].params, both[0].steps) == (both[1].flops, both[1].params, both[1].steps)
    assert (both[0].teacher.flops, both[0].teacher.params) == (both[1].teacher.flops, both[1].teacher.params)


def test_a_pair_trains_until_the_student_rests() -> None:
    budget = replace(BUDGET, steps=1, rest=1.0)
    outcome = VITS.run(idat(VITS), budget)
    points = outcome.curves["val accuracy by length"]
    assert [step for step, _ in points] == [1.0, 2.0], "no gain is above 1"
    assert points[-1][1] == outcome.metrics["val accuracy"].value
    alone = VITS.run(idat(VITS), replace(BUDGET, steps=2))
    assert outcome.metrics == alone.metrics and outcome.curves["train student"] == alone.curves["train student"]
    assert outcome.training is not None and outcome.training.steps == 2
