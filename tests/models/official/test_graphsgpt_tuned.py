"""GraphsGPT with the head of the official training program, behind its wrappers, on recorded words."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from sparsebench.models import load
from sparsebench.models.official import import_official

from ..oracles.oracle import difference
from .folders import ONE_WORD, check_refused, copied
from .test_graphsgpt import NEAR, opened

WRAPPER = "_forward_module.model."


def tuned(place: Path, **further: Tensor) -> Path:
    """A file with the recorded weights and a drawn head, beside configuration and bonds; the weights' own file goes."""
    folder = copied(ONE_WORD, place)
    state = torch.load(folder / "pytorch_model.bin", weights_only=True)
    (folder / "pytorch_model.bin").unlink()
    width = state["model.encoder.embed_fingerprint_position.weight"].shape[1]
    generator = torch.Generator().manual_seed(0)
    head = {
        "dense.weight": (width, width),
        "dense.bias": (width,),
        "out_proj.weight": (12, width),
        "out_proj.bias": (12,),
    }
    held = {f"{WRAPPER}model.{name}": value for name, value in state.items()}
    for name, shape in head.items():
        held[f"{WRAPPER}classification_heads.{name}"] = torch.randn(shape, generator=generator) / 4
    torch.save(held | {f"{WRAPPER}{name}": value for name, value in further.items()}, folder / "tox21.pth")
    return folder / "tox21.pth"


@torch.no_grad()
def test_outputs_are_those_of_the_head_on_the_recorded_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tuned(tmp_path)
    found = import_official(file, tmp_path / "ours")
    held = torch.load(file, weights_only=True)
    assert (found.layout, found.tensors) == ("graphsgpt_tuned", len(held))
    _, recorded, batch = opened(ONE_WORD, monkeypatch)
    head = {name.rpartition("heads.")[2]: value for name, value in held.items() if "heads." in name}
    hidden = torch.tanh(recorded["words"][:, 0] @ head["dense.weight"].T + head["dense.bias"])
    expected = hidden @ head["out_proj.weight"].T + head["out_proj.bias"]
    assert difference(load(tmp_path / "ours")(batch).logits, expected) < NEAR


def test_refused(tmp_path: Path) -> None:
    file = tuned(tmp_path / "a")
    (file.parent / "bond_dict.pkl").unlink()
    check_refused(file, r"put config\.json and bond_dict\.pkl of the model that was tuned")
    check_refused(tuned(tmp_path / "b", more=torch.zeros(1)), "1 tensors .*more for one")
    check_refused(tuned(tmp_path / "c", **{"classification_heads.dense.bias": torch.zeros(2)}), r"shape \(2,\)")
