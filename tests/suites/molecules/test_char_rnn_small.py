"""The packaged baseline of strings: what its card says, and refused if its file is another."""

import json
from pathlib import Path

import pytest

from sparsebench.suites.molecules import char_rnn_small
from sparsebench.suites.molecules.backbones import char_rnn
from sparsebench.suites.molecules.char_rnn_small import CORE_SECONDS, FOLDER, load_char_rnn


def test_it_is_the_model_of_its_card() -> None:
    card = json.loads((FOLDER / "card.json").read_text(encoding="utf-8"))
    model = load_char_rnn()
    assert model.core_seconds == card["core seconds"] == CORE_SECONDS and not model.training
    assert sum(weight.numel() for weight in model.parameters()) == card["parameters"]
    # Of a mean over 1,000 molecules, some are likelier than this by far: a wrong file would be at 60 and more.
    assert float(-model.log_likelihood(["Cc1ccc(C(=O)Nc2ccccc2)cc1"])[0]) < 25
    assert (FOLDER / "model.safetensors").stat().st_size < 2.1 * card["parameters"] + 10_000, "half precision"


def test_other_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytearray((FOLDER / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (tmp_path / "model.safetensors").write_bytes(content)
    monkeypatch.setattr(char_rnn_small, "FOLDER", tmp_path)
    with pytest.raises(ValueError, match="not those that this version was written for"):
        load_char_rnn()


def test_there_is_nothing_to_choose() -> None:
    import torch

    with pytest.raises(ValueError, match="takes no argument, not 'big'"):
        char_rnn.load(torch.Generator(), "big")
