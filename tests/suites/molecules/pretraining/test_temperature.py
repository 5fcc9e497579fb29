"""The choice of a temperature: the one whose molecules are nearest to the validation set."""

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

from sparsebench.suites.molecules.generation.sampler import Sampler
from sparsebench.suites.molecules.generation.string_sampler import StringSampler
from sparsebench.suites.molecules.pretraining import temperature
from sparsebench.suites.molecules.pretraining.temperature import main, sampler


class Lengths:
    """Stands for ChemNet: activations that say how long a string is."""

    def activations(self, smiles: list[str]) -> torch.Tensor:
        return torch.tensor([[float(len(text)), float(np.cos(len(text)))] for text in smiles])


def test_the_nearest_one_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    likely = [one.smiles or "" for one in sampler("char_rnn", 0.5).sample(40, (), torch.Generator().manual_seed(9))]
    monkeypatch.setattr(temperature, "path", lambda *names: names)
    monkeypatch.setattr(temperature, "load_chemnet", lambda file: Lengths())
    monkeypatch.setattr(temperature, "validation_set", lambda: likely)
    app = typer.Typer()
    app.command()(main)
    options = ["char_rnn", "--temperature", "0.5", "--temperature", "3", "--count", "30", "--seeds", "2"]
    lines = CliRunner().invoke(app, options).output.splitlines()
    assert len(lines) == 1 + 2 * 2 + 2 + 1 and lines[-1] == "lowest: 0.5"


def test_samplers_are_those_of_the_task() -> None:
    strings, graphs = sampler("char_rnn", 0.7), sampler("graphsgpt", 0.7)
    assert isinstance(strings, StringSampler) and strings.temperature == 0.7
    assert isinstance(graphs, Sampler) and graphs.config.temperature == 0.7
