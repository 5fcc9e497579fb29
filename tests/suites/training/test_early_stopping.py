"""Training until the validation part says that it is enough: where it stops, what stays, and going on after a stop."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from sparsebench.reports.records.record import Metric
from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.methods.baselines.full_tuning import FullTuning
from sparsebench.suites.training.callbacks import Callback

from .toy import Numbers, StopAt, StoppedError, linear, squared_error

SCORES = (0.5, 0.7, 0.7, 0.6, 0.9, 0.8)


@dataclass(frozen=True, kw_only=True)
class Stopped(FullTuning):
    """Ends before what the loop does after a step."""

    at: int = 0

    def callbacks(self, context: Context) -> tuple[Callback, ...]:
        return (*super().callbacks(context), StopAt(self.at))


def scored(scores: Iterator[float], epochs: int = 6, higher: bool = True, **budget: float) -> Context:
    """A context whose validation part gives these scores, one an epoch of two steps."""
    return Context(
        suite="s",
        task="t",
        seed=0,
        budget=Budget(epochs=epochs, batch_size=4, **budget),  # type: ignore[arg-type]
        loss=squared_error,
        validate=lambda: ("score", Metric(value=next(scores), higher_is_better=higher, unit="")),
    )


@pytest.mark.parametrize(("patience", "higher", "seen", "best"), [(2, True, 4, 2), (3, True, 6, 5), (2, False, 3, 1)])
def test_it_ends_after_so_many_epochs_without_a_better_score_and_the_best_weights_stay(
    patience: int, higher: bool, seen: int, best: int
) -> None:
    """The best epoch of a schedule of six: the weights of a plain training as they are after so many of its epochs."""
    model = linear()
    context = scored(iter(SCORES), higher=higher)
    curves = FullTuning(patience=patience).fit(model, Numbers(), context)
    assert curves["val score"] == [(2.0 * epoch, SCORES[epoch - 1]) for epoch in range(1, seen + 1)]
    costs = context.ledger.costs()
    assert costs is not None and costs.steps == 2 * seen
    plain = linear()
    with pytest.raises(StoppedError):
        Stopped(at=2 * best).fit(plain, Numbers(), scored(iter(())))
    assert torch.equal(model.weight, plain.weight) and torch.equal(model.bias, plain.bias)


def test_it_goes_on_after_a_stop_with_the_weights_that_were_the_best(tmp_path: Path) -> None:
    whole = linear()
    FullTuning(patience=3).fit(whole, Numbers(), scored(iter(SCORES)))
    settings = replace(FullTuning().settings(scored(iter(()))), save_every=1)

    @dataclass(frozen=True, kw_only=True)
    class Saving(Stopped):
        def settings(self, context: Context):
            return settings

    with pytest.raises(StoppedError):
        Saving(patience=3, at=9).fit(linear(), Numbers(), replace(scored(iter(SCORES)), folder=tmp_path))
    again = linear()
    # The checkpoint is that of step 8, before the score of the fourth epoch.
    curves = Saving(patience=3).fit(again, Numbers(), replace(scored(iter(SCORES[3:])), folder=tmp_path))
    assert [value for _, value in curves["val score"]] == list(SCORES)
    assert torch.equal(again.weight, whole.weight) and torch.equal(again.bias, whole.bias)


def test_what_does_not_go_together_is_refused() -> None:
    with pytest.raises(ValueError, match="patience must be 0 or more epochs, not -1"):
        FullTuning(patience=-1)
    with pytest.raises(ValueError, match=r"patience: 2 and the budget's rest: 0\.1 both say when to end"):
        FullTuning(patience=2).fit(linear(), Numbers(), scored(iter(()), rest=0.1))
