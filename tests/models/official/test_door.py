"""Folders in official layouts become models and folders of ours, every tensor of them, or nothing is written."""

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from sparsebench.models import load
from sparsebench.models.errors import ModelError
from sparsebench.models.official import from_official, import_official
from sparsebench.models.official.recognition import VIT_POSITIONS

from ..agreement import agree
from .exact_numbers import uniform
from .folders import (
    CONDITIONED,
    NAMES,
    ONE_WORD,
    RECORDED,
    RESIDUAL,
    V1,
    V2,
    check_refused,
    configured,
    copied,
    rewritten,
)


@pytest.mark.parametrize("name", NAMES)
def test_import(name: str, tmp_path: Path) -> None:
    """The folder of ours opens as the model that was read; that this is exact, `oracles` says."""
    found = import_official(RECORDED / name, tmp_path / "ours")
    again = load(tmp_path / "ours")
    model = from_official(RECORDED / name)
    assert found.parameters == sum(parameter.numel() for parameter in again.parameters())
    assert found.tensors > 60
    wanted, state = model.state_dict(), again.state_dict()
    assert wanted.keys() == state.keys()
    for key, tensor in wanted.items():
        agree(state[key], tensor, "tensors", where=key)


def test_the_tokenizer_goes_along(tmp_path: Path) -> None:
    folder = copied(V2, tmp_path)
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")
    import_official(folder, tmp_path / "ours")
    assert (tmp_path / "ours" / "tokenizer.json").read_text(encoding="utf-8") == "{}"


def cut(place: Path) -> Path:
    folder = copied(RESIDUAL, place)
    file = folder / "model-00002-of-00002.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])
    return folder


def without_shard(place: Path) -> Path:
    folder = copied(RESIDUAL, place)
    (folder / "model-00002-of-00002.safetensors").unlink()
    return folder


def unsafe(place: Path) -> Path:
    folder = copied(ONE_WORD, place)
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"model": print}, protocol=2))
    return folder


def unsafe_bonds(place: Path) -> Path:
    folder = copied(CONDITIONED, place)
    (folder / "bond_dict.pkl").write_bytes(pickle.dumps({(6, 6, 1.0): print}))
    return folder


def extra(place: Path) -> Path:
    return rewritten(V1, place, lambda tensors: tensors.update({"model.layers.0.mlp.more": torch.zeros(2)}))


def missing(place: Path) -> Path:
    return rewritten(V1, place, lambda tensors: tensors.pop("model.layers.1.mlp.calculator.experts.weight_up.3"))


def shaped(place: Path) -> Path:
    name = "model.layers.1.block_sparse_moe.experts.3.w2.weight"
    return rewritten(V2, place, lambda tensors: tensors.update({name: tensors[name][:, :-1].clone()}))


REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a shard that is cut short": (cut, "cut short"),
    "a shard that is not there": (without_shard, "is missing"),
    "a pickle that names a function": (unsafe, "could run code"),
    "bonds that name a function": (unsafe_bonds, "builtins.print"),
    "a tensor too many": (extra, "mlp.more"),
    "a tensor too few": (missing, "has no tensor model.layers.1.mlp.calculator.experts.weight_up.3"),
    "a tensor of another shape": (shaped, r"shape \(32, 7\); \(32, 8\)"),
    "a stock model": (lambda place: configured(V1, place, model_type="llama"), "no layout that is known here"),
}


@pytest.mark.parametrize("damage", REFUSED)
def test_refused(damage: str, tmp_path: Path) -> None:
    damaged, message = REFUSED[damage]
    check_refused(damaged(tmp_path), message)


def test_another_layout_by_name() -> None:
    with pytest.raises(ModelError, match="does not say num_local_experts"):
        from_official(RECORDED / V1, layout="llama_moe_v2")
    with pytest.raises(ModelError, match="did you mean 'llama_moe_v2'"):
        from_official(RECORDED / V1, layout="llama_moe_v3")


def test_neither_a_folder_nor_a_model_of_the_hub() -> None:
    with pytest.raises(ModelError, match="no name of a model on the hub"):
        from_official("no/such/folder")


@pytest.mark.parametrize("folder", sorted(place.name for place in RECORDED.iterdir()))
def test_load_says_which_command_imports_a_folder(folder: str) -> None:
    place = RECORDED / folder
    with pytest.raises(ModelError, match=r"an official checkpoint, .*: `sparsebench import .* OUT` reads it") as caught:
        load(place)
    assert "\n" not in str(caught.value)


def test_load_says_which_command_imports_a_file(tmp_path: Path) -> None:
    names = ("classification_heads.dense.weight", "a.attention.channel_fc.weight", "warehouse_manager.weights.0")
    for number, name in enumerate(names):
        torch.save({"state_dict": {name: torch.zeros(1)}}, tmp_path / f"{number}.pth")
    np.savez(tmp_path / "3.npz", **{name: uniform("a", (1,)) for name in ("embedding/kernel", VIT_POSITIONS)})
    files = sorted(tmp_path.iterdir())
    assert len(files) == 4
    for file in files:
        with pytest.raises(ModelError, match=r"`sparsebench import .* OUT` reads it, or says why"):
            load(file)
    torch.save({"a": torch.zeros(1)}, tmp_path / "own.pth")
    with pytest.raises(ModelError, match=r"has no config\.json"):
        load(tmp_path / "own.pth")


def test_safetensors_are_preferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a model on the hub `.bin` files are asked for only where there is nothing else."""
    import huggingface_hub

    asked = []

    def download(name: str, allow_patterns: list[str]) -> str:
        asked.append((name, "*.bin" in allow_patterns))
        return str(RECORDED / name.removeprefix("of/"))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    from_official(f"of/{V1}")
    from_official(f"of/{ONE_WORD}")
    assert asked == [(f"of/{V1}", False), (f"of/{ONE_WORD}", False), (f"of/{ONE_WORD}", True)]
