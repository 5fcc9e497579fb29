"""ChemNet: the batched, shortened run against a plain one over all 350 symbols, and the checkpoint's reader."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sparsebench.models.errors import ModelError
from sparsebench.models.molecules.chemnet import LENGTH, SYMBOLS, ChemNet, encode, load_chemnet

SMILES = ["C", "CCO", "c1ccc2[nH]ccc2c1", "Clc1ccc(Br)cc1", "C[Si](C)(C)C", "[Na+].[Cl-]", "C" * 40, "C/C=C/[Se]C"]
LONG = ["C" * length for length in (340, 347, 348, 349, 350, 351, 400)]


def slow_one_hot(text: str) -> Tensor:
    rows, place = torch.zeros(LENGTH, len(SYMBOLS), dtype=torch.float64), 0
    text, row = text + ".", 0
    while text[place] != "." and row < LENGTH - 1:
        size = 2 if text[place + 1] in "ril" else 1
        symbol = text[place : place + size]
        rows[row, SYMBOLS.index(symbol if symbol in SYMBOLS else "X")] = 1
        place, row = place + size, row + 1
    rows[row, SYMBOLS.index(".")] = 1
    return rows / len(SYMBOLS)


def slow_activations(network: ChemNet, smiles: list[str]) -> Tensor:
    """The network as published: each molecule alone, padded to 350, both LSTMs over all 88 steps."""
    rows = []
    for text in smiles:
        x = F.pad(slow_one_hot(text).T[None].to(network.conv1.weight.dtype), (1, 1))
        x = F.selu(F.conv1d(x, network.conv1.weight, stride=2))
        x = F.selu(F.conv1d(F.pad(x, (1, 2)), network.conv2.weight, stride=2))
        x = network.backwards(x.transpose(1, 2).flip(1))[0]
        rows.append(network.forwards(x.flip(1))[0][:, -1])
    return torch.cat(rows).float()


@pytest.fixture(scope="module")
def network() -> ChemNet:
    """Random weights in float64, neither forgetful nor chaotic: some of the first symbols reaches the last state."""
    generator, net = torch.Generator().manual_seed(0), ChemNet().double().eval()
    for name, weight in net.named_parameters():
        weight.data.normal_(std=1.0 if "conv" in name else 0.12, generator=generator)
    return net.requires_grad_(False)


def test_symbols():
    tokens = encode(["ClC[Si]9", "O.CCCC"])
    assert ["" if place == len(SYMBOLS) else SYMBOLS[place] for place in tokens[0].tolist()] == [
        *("Cl", "C", "[", "Si", "]", "X", ".")
    ]
    assert tokens[1].tolist() == [SYMBOLS.index("O"), SYMBOLS.index("."), *[len(SYMBOLS)] * 5]


@pytest.mark.parametrize("smiles", [SMILES, LONG, ["C"], [LONG[-1]], SMILES + LONG])
def test_agrees_with_the_plain_run(network: ChemNet, smiles: list[str]):
    expected = slow_activations(network, smiles)
    torch.testing.assert_close(network.activations(smiles), expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(network.activations(smiles, batch_size=3), expected, atol=1e-5, rtol=1e-4)


def test_every_length(network: ChemNet, subtests: pytest.Subtests):
    """The number of steps that are run one by one depends on the length modulo 4."""
    for length in [*range(1, 20), 339, 340, 341, 342, 343, 344]:
        with subtests.test(length=length):
            text = ["CN(O)=cs1"[place % 9] for place in range(length)]
            smiles = ["".join(text)]
            torch.testing.assert_close(
                network.activations(smiles), slow_activations(network, smiles), atol=1e-5, rtol=1e-4
            )


def test_no_molecules(network: ChemNet):
    assert network.activations([]).shape == (0, 512)


def checkpoint(network: ChemNet) -> list:
    kinds = {"conv1": "Conv1d", "conv2": "Conv1d", "backwards": "LSTM", "forwards": "LSTM"}
    return [(kind, (network.get_submodule(name).state_dict(), {}, {})) for name, kind in kinds.items()]


def test_reads_the_checkpoint_layout(network: ChemNet, tmp_path: Path):
    torch.save(checkpoint(network), tmp_path / "net.pt")
    loaded = load_chemnet(tmp_path / "net.pt")
    assert not loaded.training
    written = network.state_dict()
    read = loaded.state_dict()
    assert read.keys() == written.keys()
    for name, tensor in written.items():
        assert torch.equal(read[name], tensor.to(read[name].dtype)), name
    # In float32, while the network computes in float64.
    torch.testing.assert_close(loaded.activations(SMILES), network.activations(SMILES), rtol=1e-3, atol=1e-4)


class Harmful:
    def __reduce__(self):
        return print, ("executed",)


def test_refuses_other_files(network: ChemNet, tmp_path: Path, capsys: pytest.CaptureFixture):
    file = tmp_path / "net.pt"
    for content in (checkpoint(network)[:3], {"a": torch.ones(1)}, torch.ones(3), Harmful(), [Harmful()]):
        torch.save(content, file)
        with pytest.raises(ModelError, match=r"net\.pt is no ChemNet checkpoint"):
            load_chemnet(file)
    file.write_bytes(b"text")
    with pytest.raises(ModelError, match="no ChemNet checkpoint"):
        load_chemnet(file)
    assert capsys.readouterr().out == ""


@pytest.mark.data
def test_published_weights_give_the_published_mean():
    """1,000 of 176,074 molecules: each mean lies within the sample's error of MOSES's; squared z-scores average 1."""
    from sparsebench.data.molecules.moses import moses, moses_statistics
    from sparsebench.data.sources import path

    reference = moses_statistics("test")["FCD"]
    network = load_chemnet(path("chemnet", "weights"))
    sample = np.random.default_rng(0).choice(moses("test"), 1000, replace=False).tolist()
    activations = network.activations(sample)
    torch.testing.assert_close(activations[:4], slow_activations(network, sample[:4]), atol=1e-5, rtol=1e-4)
    difference = activations.double().mean(0).numpy() - reference["mu"]
    squares = difference**2 / (np.diag(reference["sigma"]) / len(sample))
    assert 0.5 < squares.mean() < 2
