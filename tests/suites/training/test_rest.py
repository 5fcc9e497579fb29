"""Training until it rests: when it stops, what stays, and that a stop in between changes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparsebench.reports.records.record import Metric
from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.training.callbacks import Callback, KeptGenerator
from sparsebench.suites.training.rest import better_by

from .toy import Fit, Numbers, StopAt, StoppedError, squared_error


def metric(value: float, higher: bool = True) -> Metric:
    return Metric(value=value, higher_is_better=higher, unit="share")


def scripted(scores: Sequence[float], budget: Budget, higher: bool = True) -> Context:
    """A context whose validation part gives these scores, one after the other."""
    left = list(scores)
    return Context(
        suite="s",
        task="t",
        seed=0,
        budget=budget,
        loss=squared_error,
        validate=lambda: ("accuracy", metric(left.pop(0), higher)),
    )


def noisy() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(1, 4), nn.Dropout(0.5), nn.Linear(4, 1))


@dataclass(frozen=True, kw_only=True)
class Drawing(Fit):
    """Its loss draws from a generator of its own."""

    draws: torch.Generator
    stop: StopAt | None = None

    def loss(self, model: nn.Module, batch: Any, context: Context) -> Tensor:
        noise = torch.randn(batch[0].shape, generator=self.draws)
        return context.loss(model, (batch[0] + noise, batch[1]))

    def callbacks(self, context: Context) -> tuple[Callback, ...]:
        kept = (KeptGenerator(self.draws),)
        return kept if self.stop is None else (*kept, self.stop)


def drawing(stop: int | None = None) -> Drawing:
    return Drawing(draws=torch.Generator().manual_seed(5), stop=None if stop is None else StopAt(stop))


BUDGET = Budget(epochs=2, batch_size=4, rest=0.01, doublings=3)


@pytest.mark.parametrize(
    ("scores", "lengths", "rested"),
    [
        ([0.5, 0.51], [2, 4], True),
        ([0.5, 0.52, 0.4], [2, 4, 8], True),
        ([0.1, 0.2, 0.3, 0.31], [2, 4, 8, 16], True),
        ([0.1, 0.2, 0.3, 0.4], [2, 4, 8, 16], False),
    ],
)
def test_it_doubles_until_a_doubling_gains_no_more_than_the_margin(
    scores: list[float], lengths: list[int], rested: bool
) -> None:
    context = scripted(scores, BUDGET)
    curves = Fit().fit(noisy(), Numbers(), context)
    steps = [2.0 * length for length in lengths]
    assert curves["val accuracy by length"] == list(zip(steps, scores, strict=True))
    assert [value for _, value in curves["at rest"]] == [0.0] * (len(lengths) - 1) + [float(rested)]
    assert [one["length"] for one in context.notes["rest"]["trainings"]] == lengths
    assert context.notes["rest"]["rested"] is rested
    costs = context.ledger.costs()
    assert costs is not None and costs.steps == steps[-1], "of the one that stays"


def test_an_error_gets_better_by_falling() -> None:
    assert better_by(metric(2.0, higher=False), metric(3.0, higher=False)) == 1.0
    assert better_by(metric(2.0), metric(3.0)) == -1.0
    context = scripted([9.0, 7.0, 8.0], BUDGET, higher=False)
    Fit().fit(noisy(), Numbers(), context)
    assert len(context.notes["rest"]["trainings"]) == 3


def test_what_stays_is_a_plain_training_of_that_length() -> None:
    rested = noisy()
    curves = drawing().fit(rested, Numbers(), scripted([0.1, 0.2, 0.2], BUDGET))
    plain = noisy()
    wanted = drawing().fit(plain, Numbers(), scripted([], Budget(epochs=8, batch_size=4)))
    assert curves["train loss"] == wanted["train loss"]
    assert all(torch.equal(value, rested.state_dict()[name]) for name, value in plain.state_dict().items())


def test_it_goes_on_after_a_stop_to_the_same_bits(tmp_path: Path) -> None:
    def context() -> Context:
        return replace(scripted([0.1, 0.2, 0.2], BUDGET), folder=tmp_path)

    whole = noisy()
    wanted = drawing().fit(whole, Numbers(), replace(context(), folder=None))
    with pytest.raises(StoppedError):
        drawing(stop=6).fit(noisy(), Numbers(), context())  # in the second training: the first has four steps
    again = noisy()
    found = drawing(stop=99).fit(again, Numbers(), context())
    assert found == wanted
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in whole.state_dict().items())


def test_without_a_validation_part_nothing_rests() -> None:
    context = replace(scripted([], BUDGET), validate=None)
    with pytest.raises(ValueError, match="the task 't' has no validation part"):
        Fit().fit(noisy(), Numbers(), context)
