"""The learning curve that a pre-training writes of itself: how good the model is at a few points, and at what cost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch

from sparsebench.data.sources import path
from sparsebench.models.graphsgpt import GraphsGPT, GraphsGPTPipeline
from sparsebench.models.graphsgpt.conditioning import conditional_words
from sparsebench.models.molecules.chemnet import ChemNet, load_chemnet

from ...training.callbacks import Callback, TrainingState
from ..generation.moses import validation_set
from ..generation.reconstruction import reconstruct
from ..generation.sampler import Sampler, draws_per_kept
from ..metrics.distributions import frechet_chemnet_distance, gaussian
from ..metrics.reading import read
from .clock import ProcessSeconds

FILE = "curve.json"
RECONSTRUCTED = 200
"""Molecules that are encoded and written again."""
LIKELY = 512
"""Molecules whose likelihood is measured."""
SAMPLED = 1000
"""Molecules that are drawn for FCD."""
COST = "core seconds of measuring"


class Distance:
    """FCD of drawn molecules to `validation_set`, or to the molecules given."""

    def __init__(self, molecules: Sequence[str] | None = None) -> None:
        self.molecules = molecules

    def __call__(self, smiles: Sequence[str]) -> float:
        """The distance, with the bias of their number (`frechet_chemnet_distance`)."""
        return frechet_chemnet_distance(self._activations(smiles), *self._moments).value

    @cached_property
    def _chemnet(self) -> ChemNet:
        return load_chemnet(path("chemnet", "weights"))

    @cached_property
    def _moments(self) -> tuple[np.ndarray, np.ndarray]:
        return gaussian(self._activations(validation_set() if self.molecules is None else self.molecules))

    def _activations(self, smiles: Sequence[str]) -> np.ndarray:
        return self._chemnet.activations(smiles).numpy()


class Measure:
    """What is measured at a point of the curve, on molecules that the training does not see.

    - "validation loss": of molecules written from their own words, as in training;
    - "nats a molecule": negative log-likelihood where nothing is asked for;
    - "exact", "exact K=1" and so on: fractions that come back exactly (`reconstruct`);
    - "FCD", "draws per kept": of 1,000 molecules drawn as in the task; no FCD where some cannot be read.

    The two that draw without words are left out for a model that takes no conditions. Only the main process measures.
    """

    def __init__(self, molecules: Sequence[str], distance: Distance, clock: ProcessSeconds, main: bool = True) -> None:
        self.molecules = molecules
        self.distance = distance
        self.clock = clock
        self.main = main

    @torch.no_grad()
    def __call__(self, model: GraphsGPT) -> dict[str, float]:
        """The values, and the CPU seconds that they took, which the clock of the training does not count."""
        if not self.main:
            return {}
        began = process_time()
        with self.clock.paused():
            found = {"validation loss": self._loss(model), **self._exact(model)}
            if model.config.properties:
                found["nats a molecule"] = self._nats(model)
                found |= self._drawn(model)
        return found | {COST: process_time() - began}

    def _loss(self, model: GraphsGPT) -> float:
        pipeline = GraphsGPTPipeline(model)
        tokens = pipeline.tokenize(self.molecules[:LIKELY])
        return float(model(tokens.batch(tokens.ok).to(model.device)).loss)

    def _exact(self, model: GraphsGPT) -> dict[str, float]:
        metrics = reconstruct(Sampler(model), self.molecules[:RECONSTRUCTED]).metrics
        return {name: metric.value for name, metric in metrics.items()}

    def _nats(self, model: GraphsGPT) -> float:
        pipeline = GraphsGPTPipeline(model)
        smiles = self.molecules[:LIKELY]
        words = conditional_words(model, pipeline.tokenizer, len(smiles))
        return -float(pipeline.score(smiles, words).nanmean())

    def _drawn(self, model: GraphsGPT) -> dict[str, float]:
        generated = Sampler(model).sample(SAMPLED, (), torch.Generator().manual_seed(0))
        smiles = read([one.smiles for one in generated]).smiles
        found = {"draws per kept": draws_per_kept(generated).value}
        if len(smiles) == SAMPLED:
            found["FCD"] = self.distance(smiles)
        return found


class Curve(Callback):
    """Writes `curve.json`: a point for each evaluation so far, with the core seconds of training until then."""

    def __init__(self, folder: Path, clock: ProcessSeconds, processes: int, step_molecules: int, main: bool) -> None:
        self.file = folder / FILE
        self.clock = clock
        self.processes = processes
        self.step_molecules = step_molecules
        self.main = main
        self.points: list[dict[str, Any]] = []

    def on_step(self, state: TrainingState) -> None:
        """Write a point where one was measured."""
        measured = state.curves.get(COST)
        if not measured or measured[-1][0] != state.step or (self.points and self.points[-1]["step"] == state.step):
            return
        point = {
            "step": state.step,
            "molecules": state.step * self.step_molecules * self.processes,
            "core seconds": round(self.clock.seconds * self.processes),
        }
        self.points.append(point | {name: round(value, 4) for name, value in state.scores.items()})
        if self.main:
            self.file.write_text(json.dumps(self.points, indent=2) + "\n", encoding="utf-8")

    def on_end(self, state: TrainingState) -> None:
        """The last point, where it does not follow a step."""
        self.on_step(state)

    def state_dict(self) -> dict[str, Any]:
        """The points so far."""
        return {"points": self.points}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on behind them."""
        self.points = list(state["points"])
