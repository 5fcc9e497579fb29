"""The packaged model: float32, as its configuration says, and refused if its file is another."""

from pathlib import Path

import pytest
import torch

from sparsebench.suites.molecules import graphsgpt_small
from sparsebench.suites.molecules.graphsgpt_small import FOLDER, load_small, small_config


def test_it_is_the_model_of_its_configuration() -> None:
    model = load_small()
    assert model.config.to_dict() == small_config().to_dict() and not model.training
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    assert all(torch.isfinite(weight).all() for weight in model.parameters())
    assert 2.0e6 < sum(weight.numel() for weight in model.parameters()) < 2.2e6


def test_other_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytearray((FOLDER / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (tmp_path / "model.safetensors").write_bytes(content)
    monkeypatch.setattr(graphsgpt_small, "FOLDER", tmp_path)
    with pytest.raises(ValueError, match="not those that this version was written for"):
        load_small()
