"""Stopping and going on, and the steps of the loop by hand."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from sparsebench.models.graphsgpt import GraphsGPT
from sparsebench.suites.molecules.pretraining.batches import Batches
from sparsebench.suites.molecules.pretraining.corpus import Corpus
from sparsebench.suites.molecules.pretraining.loop import STAGE, Settings, pretrain
from sparsebench.suites.training.checkpoint import OtherTrainingError, newest
from sparsebench.suites.training.optimizer import parameter_groups, warmup_cosine


def test_a_stopped_run_goes_on_to_the_same_weights(
    corpus: Corpus, tmp_path: Path, make_batches: Callable[..., Batches], make_model: Callable[[], GraphsGPT]
) -> None:
    settings = Settings(steps=6, batch_size=4, save_every=3, log_every=3)
    whole = pretrain(make_model(), make_batches(), settings, tmp_path / "whole").model
    assert newest(tmp_path / "whole" / STAGE) == tmp_path / "whole" / STAGE / "step-000000006-end"

    class StopError(RuntimeError):
        pass

    class Stopping(Batches):
        def step(self, step: int, rank: int = 0, processes: int = 1):
            if step == 4:
                raise StopError
            return super().step(step, rank, processes)

    with pytest.raises(StopError):
        pretrain(make_model(), Stopping(**vars(make_batches())), settings, tmp_path / "parts")
    assert newest(tmp_path / "parts" / STAGE) == tmp_path / "parts" / STAGE / "step-000000003"
    resumed = pretrain(make_model(), make_batches(), settings, tmp_path / "parts").model
    for name, weight in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], weight), name


def by_hand(model: GraphsGPT, batches: Batches, settings: Settings, steps: int) -> list[torch.optim.Optimizer]:
    """The loop without the loop: Muon for the matrices of the layers, AdamW for all else."""
    model.train()
    layers = [*model.encoder.layers.parameters(), *model.decoder.layers.parameters()]
    matrices = [weight for weight in layers if weight.ndim == 2]
    known = {id(weight) for weight in matrices}
    others = []
    for group in parameter_groups(model, settings.weight_decay):
        others.append(group | {"params": [weight for weight in group["params"] if id(weight) not in known]})
    muon = torch.optim.Muon(matrices, lr=1.0, weight_decay=settings.weight_decay, adjust_lr_fn="match_rms_adamw")
    adamw = torch.optim.AdamW(others, lr=1.0, betas=(0.9, 0.95))
    for step in range(steps):
        for optimizer, rate in ((muon, settings.matrix_rate), (adamw, settings.learning_rate)):
            optimizer.zero_grad()
            for group in optimizer.param_groups:
                group["lr"] = rate * warmup_cosine(step, settings.steps, settings.warmup)
        seen = batches.step(step)
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(seen.batch, num_words=seen.num_words, source=seen.source, wanted=seen.wanted).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
        muon.step()
        adamw.step()
    return [muon, adamw]


def test_the_loop_by_hand_gives_the_same_bits(
    corpus: Corpus, tmp_path: Path, make_batches: Callable[..., Batches], make_model: Callable[[], GraphsGPT]
) -> None:
    settings = Settings(steps=5, batch_size=4, warmup=0.3)
    states = []
    for way in (0, 1):
        torch.manual_seed(0)
        model = make_model()
        if way:
            pretrain(model, make_batches(), settings, tmp_path)
        else:
            by_hand(model, make_batches(), settings, 5)
        states.append(model.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_other_molecules_or_settings_in_the_same_folder_are_refused(
    corpus: Corpus, tmp_path: Path, make_batches: Callable[..., Batches], make_model: Callable[[], GraphsGPT]
) -> None:
    settings = Settings(steps=1, batch_size=4)
    pretrain(make_model(), make_batches(), settings, tmp_path)
    with pytest.raises(OtherTrainingError, match="settings steps is 1 there and 2 now"):
        pretrain(make_model(), make_batches(), Settings(steps=2, batch_size=4), tmp_path)
    with pytest.raises(OtherTrainingError, match=r"data is molecules 30 strings.* there"):
        pretrain(make_model(), make_batches(condition_fraction=0.1), settings, tmp_path)


def test_the_state_of_an_older_version_is_taken_up(
    corpus: Corpus, tmp_path: Path, make_batches: Callable[..., Batches], make_model: Callable[[], GraphsGPT]
) -> None:
    settings = Settings(steps=5, batch_size=4)
    torch.manual_seed(0)
    model = make_model()
    optimizers = [optimizer.state_dict() for optimizer in by_hand(model, make_batches(), settings, 3)]
    old = {"model": model.state_dict(), "optimizers": optimizers, "step": 3, "seconds": 1e6}
    torch.save(old, tmp_path / "state.pt")
    resumed, seconds, _ = pretrain(make_model(), make_batches(), settings, tmp_path)
    assert seconds > 1e6
    torch.manual_seed(0)
    whole = make_model()
    by_hand(whole, make_batches(), settings, 5)
    for name, weight in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], weight, msg=name)
