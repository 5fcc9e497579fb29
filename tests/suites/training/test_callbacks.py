"""Hooks into the training loop."""

import pytest
import torch

from sparsebench.suites.training.callbacks import Callback, KeptGenerator, Progress, TrainingState, remembering


def state(step: int, loss: float) -> TrainingState:
    return TrainingState(models={}, optimizers={}, data=None, total=3, step=step, loss=loss)


def test_a_callback_remembers_nothing_by_default() -> None:
    callback = Callback()
    assert callback.state_dict() == {}
    callback.load_state_dict({})

    class Counter(Callback):
        def state_dict(self) -> dict[str, int]:
            return {"count": 1}

    counter = Counter()
    assert remembering([callback, counter, Progress()]) == [counter]


def test_progress_shows_means_between_lines_and_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    for show in (False, True):
        progress = Progress(every=2, show=show)
        progress.on_start(state(0, 0.0))
        for step, loss in enumerate((1.0, 3.0, 7.0), start=1):
            progress.on_step(state(step, loss))
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == (2 if show else 0)
    assert lines[0].startswith("step 2/3  loss 2.0000") and lines[1].startswith("step 3/3  loss 7.0000")


def test_a_generator_goes_on_where_it_was() -> None:
    here, there = (KeptGenerator(torch.Generator().manual_seed(seed)) for seed in (0, 1))
    torch.rand(3, generator=here.generator)
    there.load_state_dict(here.state_dict())
    assert torch.equal(torch.rand(3, generator=here.generator), torch.rand(3, generator=there.generator))
