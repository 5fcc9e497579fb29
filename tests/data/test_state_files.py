"""Weights in safetensors files: whole, or one line that names the tensor."""

import json
import struct
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from sparsebench.data.errors import DataError, WeightsError
from sparsebench.data.state_files import read_state


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


STATE = network().state_dict()


def saved(folder: Path, **changed: torch.Tensor | None) -> Path:
    state = {name: tensor.clone() for name, tensor in STATE.items()}
    for key, tensor in changed.items():
        name = key.replace("__", ".")
        state.pop(name, None)
        if tensor is not None:
            state[name] = tensor
    save_file(state, folder / "model.safetensors")
    return folder / "model.safetensors"


def test_a_whole_file(tmp_path: Path):
    found = read_state(saved(tmp_path), STATE)
    assert set(found) == set(STATE) and all(torch.equal(found[name], STATE[name]) for name in STATE)


def test_a_head_that_is_not_used(tmp_path: Path):
    for head in (None, torch.full((9, 9), float("nan"))):
        file = saved(tmp_path, **{"2__weight": head, "2__bias": None})
        assert set(read_state(file, STATE, without=("2.",))) == {name for name in STATE if not name.startswith("2.")}


BAD = {
    "tensor '0.weight' is missing": {"0__weight": None},
    r"tensor '0.weight' has the shape \(3, 4\), not \(4, 3\)": {"0__weight": torch.zeros(3, 4)},
    "tensor 'more' is none of this model": {"more": torch.zeros(1)},
    "tensor '1.running_var' holds numbers that are not finite": {
        "1__running_var": torch.tensor([1, 1, 1, float("inf")])
    },
    "tensor '2.bias' is torch.int64, not torch.float32": {"2__bias": torch.zeros(2, dtype=torch.int64)},
}


@pytest.mark.parametrize("message", BAD)
def test_tensors_that_do_not_fit(tmp_path: Path, message: str):
    with pytest.raises(WeightsError, match=message) as caught:
        read_state(saved(tmp_path, **BAD[message]), STATE)
    assert "\n" not in str(caught.value) and "model.safetensors" in str(caught.value)


def test_a_tensor_that_is_named_twice(tmp_path: Path):
    """The library takes the last of the two without a word."""
    file = saved(tmp_path)
    content = file.read_bytes()
    length = struct.unpack_from("<Q", content)[0]
    header = json.loads(content[8 : 8 + length])
    text = json.dumps(header)[:-1] + ', "2.bias": ' + json.dumps(header["2.bias"]) + "}"
    text += " " * (-len(text) % 8)
    file.write_bytes(struct.pack("<Q", len(text)) + text.encode() + content[8 + length :])
    with pytest.raises(WeightsError, match=r"'2\.bias' comes twice in the header"):
        read_state(file, STATE)


@settings(max_examples=300)
@given(st.data())
def test_mutated_heads_give_all_tensors_or_one_line(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject):
    folder = tmp_path_factory.getbasetemp()
    content = bytearray(saved(folder).read_bytes())
    end = 8 + struct.unpack_from("<Q", content)[0]
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, end - 1))
        how = data.draw(st.sampled_from(["bit", "byte", "cut out", "doubled", "cut off"]))
        if how == "bit":
            content[place] ^= 1 << data.draw(st.integers(0, 7))
        elif how == "byte":
            content[place] = data.draw(st.integers(0, 255))
        elif how == "cut out":
            del content[place : place + data.draw(st.integers(1, 40))]
        elif how == "doubled":
            content[place:place] = content[place : place + data.draw(st.integers(1, 40))]
        else:
            del content[end + data.draw(st.integers(0, 200)) :]
        end = min(end, len(content))
    (folder / "mutated.safetensors").write_bytes(content)
    try:
        found = read_state(folder / "mutated.safetensors", STATE)
    except DataError as error:
        assert "\n" not in str(error)
        return
    network().load_state_dict(found, strict=True)
    assert all(tensor.isfinite().all() for tensor in found.values())


@pytest.mark.parametrize("name", ["weights.pth", "pytorch_model.bin"])
def test_another_kind_of_file_is_not_called_damaged(tmp_path: Path, name: str):
    torch.save(STATE, tmp_path / name)
    with pytest.raises(
        WeightsError, match=rf"{name} is no safetensors file, .*torch.load\('{name}', weights_only=True"
    ):
        read_state(tmp_path / name, STATE)
