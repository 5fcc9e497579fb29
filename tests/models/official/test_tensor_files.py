"""Files that are cut short, or hold anything but tensors, are refused in one line."""

import argparse
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from sparsebench.models.errors import ModelError
from sparsebench.models.official.tensor_files import open_tensors


def cut(file: Path) -> Path:
    file.write_bytes(file.read_bytes()[:-100])
    return file


def test_tensors_and_the_options_of_a_training_program(tmp_path: Path) -> None:
    torch.save({"state_dict": {"a": torch.arange(3)}, "args": argparse.Namespace(lr=0.1)}, tmp_path / "best.pth.tar")
    readers, beside = open_tensors(tmp_path / "best.pth.tar")
    assert readers["a"]().tolist() == [0, 1, 2]
    assert beside["args"].lr == 0.1


def test_a_list(tmp_path: Path) -> None:
    torch.save([1], tmp_path / "state.pth")
    with pytest.raises(ModelError, match="holds a list"):
        open_tensors(tmp_path / "state.pth")


def test_a_state_that_is_cut_short(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1000)}, tmp_path / "state.pth")
    with pytest.raises(ModelError, match=r"damaged or cut short|more than tensors"):
        open_tensors(cut(tmp_path / "state.pth"))


def test_safetensors(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    save_file({"a": torch.arange(100)}, file)
    assert open_tensors(file).readers["a"]().tolist() == list(range(100))
    with pytest.raises(ModelError, match="cut short"):
        open_tensors(cut(file))


def test_arrays_of_numpy(tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    np.savez(file, a=np.arange(100), b=np.array([print]))
    readers = open_tensors(file).readers
    assert readers["a"]().tolist() == list(range(100))
    with pytest.raises(ModelError, match=r"b of .* no array of numbers"):
        readers["b"]()
    with pytest.raises(ModelError, match="cut short"):
        open_tensors(cut(file))
