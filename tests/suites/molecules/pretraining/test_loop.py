"""Stopping and going on."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from sparsebench.models.graphsgpt import GraphsGPT
from sparsebench.suites.molecules.pretraining.batches import Batches
from sparsebench.suites.molecules.pretraining.corpus import Corpus
from sparsebench.suites.molecules.pretraining.loop import Settings, pretrain


def test_a_stopped_run_goes_on_to_the_same_weights(
    corpus: Corpus, tmp_path: Path, make_batches: Callable[..., Batches], make_model: Callable[[], GraphsGPT]
) -> None:
    settings = Settings(steps=6, batch_size=4, save_every=3, log_every=3)
    whole, _ = pretrain(make_model(), make_batches(), settings, tmp_path / "whole")
    part = torch.load(tmp_path / "whole" / "state.pt", weights_only=True)
    assert part["step"] == 6

    class StopError(RuntimeError):
        pass

    class Stopping(Batches):
        def step(self, step: int, rank: int = 0, processes: int = 1):
            if step == 4:
                raise StopError
            return super().step(step, rank, processes)

    with pytest.raises(StopError):
        pretrain(make_model(), Stopping(**vars(make_batches())), settings, tmp_path / "parts")
    assert torch.load(tmp_path / "parts" / "state.pt", weights_only=True)["step"] == 3
    resumed, _ = pretrain(make_model(), make_batches(), settings, tmp_path / "parts")
    for name, weight in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], weight, msg=name)
