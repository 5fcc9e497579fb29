"""An option chosen on the validation part: which value, and that what stays is a training with that value alone."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from sparsebench.reports.records.record import Metric
from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import NotApplicable
from sparsebench.suites.training.choice import train_best

from .toy import Fit, Numbers, squared_error

RATES = (0.001, 0.05, 0.01)
BUDGET = Budget(epochs=3, batch_size=4)
METHOD = Fit(weight_decay=0.0, choose="learning_rate", among=RATES)


def network() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(1, 4), nn.Dropout(0.5), nn.Linear(4, 1))


def context(model: nn.Module, folder: Path | None = None) -> Context:
    """A context whose validation part is scored by the model's error."""

    def validate() -> tuple[str, Metric]:
        data = Numbers()
        with torch.no_grad():
            error = squared_error(model.eval(), data.collate(data.train)).item()
        return "mse", Metric(value=error, higher_is_better=False, unit="")

    return Context(suite="s", task="t", seed=0, budget=BUDGET, loss=squared_error, validate=validate, folder=folder)


@pytest.mark.parametrize("rest", [None, 1.0])
def test_the_best_value_stays_as_if_it_were_alone(rest: float | None) -> None:
    model = network()
    own = context(model)
    own = replace(own, budget=replace(BUDGET, rest=rest, doublings=2))
    curves = METHOD.fit_best(model, Numbers(), own)
    trials = own.notes["choice"]["trials"]
    assert own.notes["choice"]["chosen"] == {"learning_rate": 0.05}
    assert [trial["options"]["learning_rate"] for trial in trials] == list(RATES)
    assert min(trials, key=lambda trial: trial["score"])["options"] == {"learning_rate": 0.05}

    alone = network()
    plain = replace(context(alone), budget=own.budget)
    wanted = replace(METHOD, learning_rate=0.05, choose="", among=()).fit_best(alone, Numbers(), plain)
    assert curves == wanted
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in alone.state_dict().items())
    costs, only = own.ledger.costs(), plain.ledger.costs()
    assert costs is not None and only is not None
    assert (costs.steps, costs.flops, costs.params) == (only.steps, only.flops, only.params)
    assert ("rest" in own.notes) == (rest is not None)


def test_candidates_that_ended_are_read_after_a_stop(tmp_path: Path) -> None:
    first = network()
    METHOD.fit_best(first, Numbers(), context(first, tmp_path))
    second, data = network(), Numbers()
    METHOD.fit_best(second, data, context(second, tmp_path))
    assert data.seen == [], "nothing was trained again"
    assert all(torch.equal(value, second.state_dict()[name]) for name, value in first.state_dict().items())


def test_what_diverges_has_no_score() -> None:
    model = network()
    own = context(model)
    replace(METHOD, among=(1e30, 0.01)).fit_best(model, Numbers(), own)
    lost, kept = own.notes["choice"]["trials"]
    assert "score" not in lost and "training loss is nan" in lost["reason"]
    assert own.notes["choice"]["chosen"] == {"learning_rate": 0.01} == kept["options"]
    with pytest.raises(FloatingPointError, match="every candidate diverged"):
        replace(METHOD, among=(1e30, 1e30)).fit_best(model, Numbers(), own)


def test_what_cannot_be_chosen_is_refused() -> None:
    with pytest.raises(ValueError, match="'blocks' is none of learning_rate"):
        Fit(choose="blocks", among=(1.0,)).choices()
    for wrong in (Fit(choose="learning_rate"), Fit(among=(1.0,))):
        with pytest.raises(ValueError, match="go together"):
            wrong.choices()
    model = network()
    with pytest.raises(NotApplicable, match="no validation part"):
        train_best("learning_rate", METHOD.choices(), model, Numbers(), replace(context(model), validate=None))
