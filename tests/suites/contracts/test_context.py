"""What a cell hands to its method and its task."""

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from sparsebench.suites.contracts.context import Context, Target


def context(**changes: Any) -> Context:
    return dataclasses.replace(Context(suite="s", task="t", seed=0), **changes)


def draw(generator: torch.Generator) -> int:
    return int(torch.randint(2**60, (), generator=generator))


def test_a_generator_is_the_same_in_every_task_and_a_task_generator_is_not() -> None:
    other = context(task="another")
    assert draw(context().generator("split")) == draw(other.generator("split"))
    assert draw(context().task_generator("order")) != draw(other.task_generator("order"))


@pytest.mark.parametrize("change", [{"seed": 1}, {"suite": "another"}])
def test_replicates_and_suites_draw_other_numbers(change: dict[str, Any]) -> None:
    other = context(**change)
    assert draw(context().generator("split")) != draw(other.generator("split"))
    assert draw(context().task_generator("split")) != draw(other.task_generator("split"))
    assert draw(context().generator("split")) != draw(context().generator("order"))


def test_only_next_token_and_next_edge_models_generate() -> None:
    kinds = ["next-token", "next-edge", "classification", "regression", "multilabel"]
    assert [Target(kind, 1).generates for kind in kinds] == [True, True, False, False, False]  # type: ignore[arg-type]


def test_outputs_come_from_a_call_with_keywords_or_with_one_argument() -> None:
    double = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        nn.init.eye_(double.weight).mul_(2)
    batch = torch.ones(1, 2)
    assert torch.equal(context().outputs(double, batch), 2 * batch)
    as_keywords = context(inputs=lambda batch: {"input": batch})
    assert torch.equal(as_keywords.outputs(double, batch), 2 * batch)

    class Lm(nn.Module):
        def forward(self, input_ids: torch.Tensor) -> Any:
            return SimpleNamespace(logits=input_ids + 1)

    of_a_model_of_transformers = context(inputs=lambda batch: {"input_ids": batch})
    assert torch.equal(of_a_model_of_transformers.outputs(Lm(), batch), batch + 1)


def test_calibration_gives_inputs_without_targets() -> None:
    filled = context(batches=lambda: [("x", "y"), ("z", "w")], inputs=lambda batch: batch[0])
    assert filled.calibration() == ["x", "z"]
    assert context().calibration() == []


def test_a_task_that_does_not_train_has_no_loss() -> None:
    with pytest.raises(TypeError, match="gives its methods no loss"):
        context().loss(nn.Linear(1, 1), torch.ones(1))


def test_what_is_noted_is_kept_as_json_at_once() -> None:
    noting = context()
    values = {"bytes": (3, 2), "blocks": {4: [0.5, None, True, "x"]}}
    noting.note("compression", values)
    values["bytes"] = (0, 0)
    assert noting.notes == {"compression": {"bytes": [3, 2], "blocks": {"4": [0.5, None, True, "x"]}}}
    for bad in (float("nan"), torch.ones(1), {("a", "b"): 1}, {1, 2}):
        with pytest.raises(ValueError, match="note 'bad' holds what JSON cannot say"):
            noting.note("bad", [bad])
    assert set(noting.notes) == {"compression"}


def test_a_later_note_takes_the_place_of_an_earlier_one_of_the_same_link_alone() -> None:
    first = context(link="1. ")
    second = dataclasses.replace(first, link="2. ")
    for noting, values in ((first, [1]), (second, [2]), (second, [3])):
        noting.note("kept", values)
    assert first.notes == {"1. kept": [1], "2. kept": [3]}
    assert context().notes == {}
