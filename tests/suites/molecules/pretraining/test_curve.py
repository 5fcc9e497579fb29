"""The learning curve: what is measured, at what cost, and that a stopped training goes on with it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from sparsebench.models.graphsgpt import GraphsGPT
from sparsebench.suites.molecules.metrics.distributions import frechet_distance, gaussian
from sparsebench.suites.molecules.pretraining import curve
from sparsebench.suites.molecules.pretraining.batches import Batches
from sparsebench.suites.molecules.pretraining.clock import ProcessSeconds
from sparsebench.suites.molecules.pretraining.curve import COST, FILE, Distance, Measure
from sparsebench.suites.molecules.pretraining.loop import Settings, pretrain
from sparsebench.suites.training.callbacks import Callback, TrainingState

SMILES = ["CCO", "CCCN", "c1ccccc1O"]


class Lengths:
    """Stands for ChemNet: activations that say how long a string is."""

    def activations(self, smiles: list[str]) -> torch.Tensor:
        return torch.tensor([[float(len(text)), float(np.cos(len(text)))] for text in smiles])


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curve, "path", lambda *names: names)
    monkeypatch.setattr(curve, "load_chemnet", lambda file: Lengths())
    monkeypatch.setattr(curve, "validation_set", lambda: SMILES)
    monkeypatch.setattr(curve, "SAMPLED", 4)


def test_a_point_has_the_values_of_the_model(make_model: Callable[[], GraphsGPT]) -> None:
    model = make_model().eval()
    found = Measure(SMILES, Distance(), ProcessSeconds())(model)
    assert 0 < found["validation loss"] < 100 and found["nats a molecule"] > 1 and 0 <= found["exact"] <= 1
    assert found["exact"] == found["exact K=4"] and found[COST] > 0
    if "FCD" in found:
        assert found["FCD"] >= 0
    assert Measure(SMILES, Distance(), ProcessSeconds(), main=False)(model) == {}
    stranger = Lengths().activations(["C", "CC"]).numpy()
    expected = frechet_distance(*gaussian(stranger), *gaussian(Lengths().activations(SMILES).numpy()))
    assert Distance()(["C", "CC"]) == pytest.approx(expected)


def test_a_stopped_training_goes_on_with_its_curve(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_batches: Callable[..., Batches],
    make_model: Callable[[], GraphsGPT],
) -> None:
    settings = Settings(steps=5, batch_size=4, save_every=1, points=2)
    plain = pretrain(make_model(), make_batches(), Settings(steps=5, batch_size=4), tmp_path / "plain")

    class Stop(Callback):
        def on_step(self, state: TrainingState) -> None:
            if state.step == 4:
                raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("sparsebench.suites.molecules.pretraining.loop.Progress", lambda *options, **more: Stop())
        with pytest.raises(KeyboardInterrupt):
            pretrain(make_model(), make_batches(), settings, tmp_path, SMILES)
    done = pretrain(make_model(), make_batches(), settings, tmp_path, SMILES)
    points = json.loads((tmp_path / FILE).read_text(encoding="utf-8"))
    assert [(point["step"], point["molecules"]) for point in points] == [(3, 12), (5, 20)]
    assert 0 <= points[0]["core seconds"] <= points[1]["core seconds"] <= round(done.core_seconds)
    assert all({"validation loss", "exact", COST} <= set(point) for point in points)
    for name, weight in plain.model.state_dict().items():
        assert torch.equal(done.model.state_dict()[name], weight), f"measuring changes nothing: {name}"
