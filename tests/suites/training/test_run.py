"""What happens at each turn of the loop: evaluation, modes, durations, costs, and what is kept."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparsebench.suites.training.callbacks import Callback, TrainingState
from sparsebench.suites.training.checkpoint import OtherTrainingError
from sparsebench.suites.training.groups import Group
from sparsebench.suites.training.loop import train
from sparsebench.suites.training.optimizer import warmup_cosine
from sparsebench.suites.training.result import TrainResult
from sparsebench.suites.training.settings import TrainSettings

from .toy import Numbers, linear, squared_error


class Watch(Callback):
    def __init__(self) -> None:
        self.events: list[Any] = []

    def on_step(self, state: TrainingState) -> None:
        modes = {name: model.training for name, model in state.models.items()}
        self.events.append((state.step, modes, dict(state.scores)))

    def on_end(self, state: TrainingState) -> None:
        self.events.append("end")


class Words:
    """A stream of three batches."""

    def __len__(self) -> int:
        return 3

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for size in (2, 3, 5):
            yield torch.ones(size, 1), torch.zeros(size, 1)


def run(model: nn.Module, data: Any, settings: TrainSettings, **more: Any) -> TrainResult:
    group = Group.adamw("model", model, learning_rate=0.1, weight_decay=0.0)
    return train(model, data, squared_error, groups=[group], settings=settings, **more)


def words(batch: Any) -> int:
    return len(batch[0])


@pytest.mark.parametrize(
    ("ends", "steps", "epochs"), [({"epochs": 2}, 6, 2), ({"steps": 4}, 4, 1), ({"tokens": 11}, 4, 1)]
)
def test_training_ends_after_epochs_steps_or_tokens(ends: dict[str, int], steps: int, epochs: int) -> None:
    rates: list[float] = []

    class Rates(Callback):
        def on_step(self, state: TrainingState) -> None:
            rates.append(state.optimizers["model"].param_groups[0]["lr"])

    result = run(linear(), Words(), TrainSettings(warmup=0.5, **ends), tokens=words, callbacks=[Rates()])
    assert (result.steps, result.epochs) == (steps, epochs)
    seen = [2, 5, 10, 12, 15, 20][:steps]
    assert result.tokens == seen[-1]
    done = seen if "tokens" in ends else range(1, steps + 1)
    total = ends.get("tokens", steps)
    assert rates == pytest.approx([0.1 * warmup_cosine(place, total, 0.5) for place in done])


def test_a_step_ends_with_its_epoch() -> None:
    result = run(linear(), Words(), TrainSettings(epochs=2, accumulation=2))
    assert result.steps == 4 and [step for step, _ in result.curves["train loss"]] == [1, 2, 3, 4]


def test_scores_have_curves_and_are_there_for_callbacks() -> None:
    watch = Watch()
    models = {"student": linear(), "teacher": linear().requires_grad_(False)}
    student = Group.adamw("student", models["student"], learning_rate=0.1, weight_decay=0.0)

    def evaluate(models: Any) -> dict[str, float]:
        assert not any(model.training for model in models.values())
        return {"val": float(models["student"].weight.item())}

    result = train(
        models,
        Words(),
        lambda models, batch: squared_error(models["student"], batch),
        groups=[student],
        settings=TrainSettings(steps=5, eval_every=2),
        callbacks=[watch],
        evaluate=evaluate,
    )
    assert [step for step, _ in result.curves["val"]] == [2, 4, 5]
    assert result.curves["val"][-1][1] == models["student"].weight.item()
    modes = {"student": True, "teacher": False}
    assert [event[1] for event in watch.events[:-1]] == [modes] * 5 and watch.events[-1] == "end"
    assert [bool(event[2]) for event in watch.events[:-1]] == [False, True, True, True, True]
    assert not models["student"].training


def test_an_evaluation_changes_nothing() -> None:
    def trained(evaluate: Any) -> tuple[Tensor, float]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(1, 4), nn.Dropout(), nn.BatchNorm1d(4), nn.Linear(4, 1))
        run(model, Numbers(), TrainSettings(epochs=3, batch_size=4), evaluate=evaluate)
        return model[0].weight, float(torch.rand(()))

    def disturbing(model: nn.Module) -> dict[str, float]:
        return {"val": float(model(torch.rand(3, 1)).sum())}

    plain, disturbed = trained(None), trained(disturbing)
    assert torch.equal(plain[0], disturbed[0]) and plain[1] == disturbed[1]


def test_costs() -> None:
    model = nn.Linear(8, 16)
    model.bias.requires_grad_(False)
    batch = (torch.ones(4, 8), torch.zeros(4, 16))
    result = run(model, [batch], TrainSettings(epochs=3, accumulation=2))
    assert result.flops == 3 * 2 * (2 * 4 * 8 * 16), "forward and the gradient of the weight; none of the inputs"
    assert result.parameters == {"model": 128} and result.seconds > 0 and result.tokens is None
    assert result.peak_memory > 2**20 and model.weight.grad is None


def test_counting_costs_leaves_batch_statistics_and_generators_alone() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.BatchNorm1d(1), nn.Dropout(), nn.Linear(1, 1))
    run(model, Words(), TrainSettings(steps=2))
    assert model[0].num_batches_tracked == 2
    after = torch.rand(())
    torch.manual_seed(0)
    nn.Linear(1, 1)
    for size in (2, 3):
        nn.functional.dropout(torch.ones(size, 1))
    assert after == torch.rand(())


def test_a_callback_may_end_training() -> None:
    class Enough(Callback):
        def on_step(self, state: TrainingState) -> None:
            state.stop = state.step == 2

    assert run(linear(), Words(), TrainSettings(steps=9), callbacks=[Enough()]).steps == 2


def test_an_ended_training_is_read_and_not_repeated(tmp_path: Path) -> None:
    first, second = linear(), linear()
    settings = TrainSettings(epochs=2, batch_size=4)
    before = run(first, Numbers(), settings, folder=tmp_path)
    data = Numbers()
    watch = Watch()
    after = run(second, data, settings, folder=tmp_path, callbacks=[watch])
    assert torch.equal(first.weight, second.weight) and not data.seen and not watch.events
    assert (after.curves, after.steps, after.flops, after.seconds) == (
        before.curves,
        before.steps,
        before.flops,
        before.seconds,
    )


def test_other_settings_data_or_first_weights_are_refused(tmp_path: Path) -> None:
    settings = TrainSettings(epochs=1, batch_size=4)
    model = linear()
    run(model, Numbers(), settings, folder=tmp_path)
    with pytest.raises(OtherTrainingError, match="settings epochs is 1 there and 2 now"):
        run(linear(), Numbers(), TrainSettings(epochs=2, batch_size=4), folder=tmp_path)
    other = Numbers()
    other.train.pop()
    with pytest.raises(OtherTrainingError, match="data is 8 examples"):
        run(linear(), other, settings, folder=tmp_path)
    with pytest.raises(OtherTrainingError, match="first weights"):
        run(model, Numbers(), settings, folder=tmp_path)
    assert run(model, Numbers(), settings, folder=tmp_path, stage="next").steps == 2


def test_a_checkpoint_is_due_after_seconds_too(tmp_path: Path) -> None:
    saved: list[bool] = []

    class Look(Callback):
        folder: Path

        def on_step(self, state: TrainingState) -> None:
            saved.append(any((self.folder / "train").glob("step-*")))

    look = Look()

    for seconds, expected in ((0.0, [False, True]), (None, [False, False])):
        saved.clear()
        look.folder = tmp_path / str(seconds)
        settings = TrainSettings(steps=2, batch_size=4, save_seconds=seconds)
        run(linear(), Numbers(), settings, folder=look.folder, callbacks=[look])
        assert saved == expected


def test_what_cannot_be_is_said_before_anything_is_trained() -> None:
    with pytest.raises(ValueError, match="`tokens`, which counts"):
        run(linear(), Words(), TrainSettings(tokens=5))
    with pytest.raises(ValueError, match="gave no batch"):
        run(linear(), [], TrainSettings(steps=5))
    endless = (batch for batch in Words())
    with pytest.raises(ValueError, match="stream without a length"):
        run(linear(), endless, TrainSettings(epochs=1))
    assert run(linear(), (batch for batch in Words()), TrainSettings(epochs=1, schedule="constant")).steps == 3
