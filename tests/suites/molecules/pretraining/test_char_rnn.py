"""Training of the baseline of strings: it learns, goes on after a stop, and writes what can be used."""

import json
from pathlib import Path

import pytest
import torch

from sparsebench.models.molecules.char_rnn import CharRNN, CharRNNConfig, alphabet
from sparsebench.suites.molecules.pretraining import char_rnn
from sparsebench.suites.molecules.pretraining.char_rnn import fit, write_model
from sparsebench.suites.training.callbacks import Callback, TrainingState
from sparsebench.suites.training.checkpoint import OtherTrainingError
from sparsebench.suites.training.settings import TrainSettings

SMILES = ["CCO", "CCN", "CCCO", "CCCN", "OCCO", "NCCN", "CCOC", "CCNC"]


def model() -> CharRNN:
    return CharRNN(CharRNNConfig(characters=alphabet(SMILES), embedding=8, width=16))


def settings(**fields: int) -> TrainSettings:
    return TrainSettings(**({"steps": 12, "batch_size": 4, "save_every": 4} | fields))


def test_training_goes_on_where_it_was_and_its_seconds_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, stopped = model(), model()
    before = whole.loss(whole.batch(SMILES)).item()
    fit(whole, SMILES, settings(), 0.03, tmp_path / "whole")
    assert whole.loss(whole.batch(SMILES)).item() < before

    class Stop(Callback):
        def on_step(self, state: TrainingState) -> None:
            if state.step == 9:
                raise KeyboardInterrupt

    monkeypatch.setattr(char_rnn, "Progress", lambda every: Stop())
    with pytest.raises(KeyboardInterrupt):
        fit(stopped, SMILES, settings(), 0.03, tmp_path / "parts")
    monkeypatch.undo()
    resumed = model()
    seconds = fit(resumed, SMILES, settings(), 0.03, tmp_path / "parts")
    assert seconds > 0 and all(map(torch.equal, whole.state_dict().values(), resumed.state_dict().values()))
    with pytest.raises(OtherTrainingError):
        fit(model(), SMILES[:7], settings(), 0.03, tmp_path / "parts")


def test_what_is_written_can_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(char_rnn, "training_part", lambda: SMILES)
    monkeypatch.setattr(char_rnn, "validation_set", lambda: SMILES[:2])
    monkeypatch.setattr(char_rnn, "MEASURED", 20)
    trained = model().eval()
    nats = -trained.half().float().log_likelihood(SMILES[:2]).mean().item()
    write_model(tmp_path, trained, settings(), 0.03, 1.4, 48)
    card = json.loads((tmp_path / "card.json").read_text(encoding="utf-8"))
    assert card["core seconds"] == 1 and card["molecules"] == {"in the corpus": 8, "seen": 48}
    assert card["nats a molecule of the validation set"] == pytest.approx(nats, abs=1e-3)
    assert card["sampled at temperature 1"]["strings"] == 20
    assert CharRNN.load(tmp_path).config == trained.config
