"""The choice of a prior: what is nearest is saved, and nothing where drawing without words is."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import typer
from typer.testing import CliRunner

from sparsebench.models.graphsgpt import GraphsGPT
from sparsebench.suites.molecules.generation.sampler import Sampler
from sparsebench.suites.molecules.pretraining import prior
from sparsebench.suites.molecules.pretraining.prior import FILE, main

SMILES = ["CCO", "CCN", "CCC", "CCCC", "OCCO", "nonsense", "c1ccccc1", "CNC"]


class Written:
    """Stands for FCD: `near` where words were drawn from a prior, `far` where not."""

    def __init__(self, near: float, far: float) -> None:
        self.near, self.far = near, far

    def __call__(self, smiles: list[str]) -> float:
        return self.near if smiles == ["C"] else self.far


@pytest.mark.parametrize("near", [0.5, 2.0])
def test_the_best_is_saved(
    near: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_model: Callable[[], GraphsGPT]
) -> None:
    class One:
        def __init__(self, smiles: str) -> None:
            self.smiles, self.draws = smiles, 1

    def sample(self: Sampler, n: int, references: tuple[str, ...], generator: torch.Generator) -> list[One]:
        return [One("CC" if self.model.prior is None else "C")]

    monkeypatch.setattr(Sampler, "sample", sample)
    monkeypatch.setattr(prior, "Distance", lambda: Written(near, 1.0))
    monkeypatch.setattr(prior, "training_part", lambda: SMILES)
    make_model().save_pretrained(tmp_path)
    app = typer.Typer()
    app.command()(main)
    ended = CliRunner().invoke(app, [str(tmp_path), "--words", "2", "--components", "1", "--directions", "3"])
    assert ended.exit_code == 0, ended.output
    found = json.loads((tmp_path / FILE).read_text(encoding="utf-8"))
    assert [row["words"] for row in found["rows"]] == [0, 2] and found["rows"][1]["FCD"] == near
    after = GraphsGPT.from_pretrained(tmp_path)
    assert isinstance(after, GraphsGPT) and found["best"] == (near < 1)
    assert (after.prior is not None) == (near < 1)
    assert ("stays as it is" in ended.output) == (near > 1)
