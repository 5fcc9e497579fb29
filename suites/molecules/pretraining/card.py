"""What is written at the end of pre-training: the weights, how they came about, and how good they are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import torch
from accelerate import PartialState

from sparsebench.models.graphsgpt import GraphsGPT

from ..generation.reconstruction import reconstruct
from ..generation.sampler import Sampler, SamplingConfig
from .batches import Batches
from .loop import Pretrained, Settings

HELD_OUT = 1000
ELSEWHERE = 500
"""Molecules of each other file that are encoded and written again."""
SAMPLES = 1000


def write_model(
    folder: Path,
    trained: Pretrained,
    settings: Settings,
    batches: Batches,
    test: Sequence[str],
    elsewhere: Mapping[str, Sequence[str]],
    start: Path | None = None,
) -> None:
    """Write config.json, model.safetensors in float16 and card.json; what is measured are the rounded weights: on the
    held-out molecules `test`, and how many of those `elsewhere`, by name, come back. The card of the model that
    training went on from, in the folder `start`, is taken over."""
    rounded = GraphsGPT(trained.model.config)
    rounded.load_state_dict(trained.model.cpu().state_dict())
    rounded.half().save_pretrained(folder)
    rounded = rounded.float().eval()
    origin = None
    if start is not None:
        origin = json.loads((start / "card.json").read_text(encoding="utf-8"))
    found = {
        "model": "GraphsGPT, improved mode: both halves and heads",
        "parameters": sum(weight.numel() for weight in rounded.parameters()),
        "molecules": _numbers(batches),
        "settings": asdict(settings),
        "went on from": origin,
        "processes": PartialState().num_processes,
        "seconds": round(trained.seconds),
        "core seconds": round(trained.core_seconds),
        "threads of each process": torch.get_num_threads(),
        "held-out molecules": min(HELD_OUT, len(test)),
        "exact reconstruction": reconstruction(rounded, test[:HELD_OUT]),
        "exact reconstruction elsewhere": {
            name: {"molecules": len(some[:ELSEWHERE]), **reconstruction(rounded, some[:ELSEWHERE])}
            for name, some in elsewhere.items()
        },
        "sampled without a condition": samples(rounded, settings.seed),
        "versions": {name: version(name) for name in ("torch", "transformers", "rdkit", "numpy")},
    }
    (folder / "card.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def _numbers(batches: Batches) -> dict[str, int | float]:
    found: dict[str, int | float] = {
        "in the corpus": len(batches.corpus.molecules.ok),
        "with conditions": len(batches.corpus.scaffolds),
    }
    if batches.more is not None:
        found["of other kinds"] = len(batches.more.molecules.ok)
        found["fraction of the steps with own words that have these"] = batches.more_fraction
    return found


def reconstruction(model: GraphsGPT, smiles: Sequence[str]) -> dict[str, float]:
    """Fraction of the molecules that come back exactly (canonical SMILES without stereo), by number of words."""
    if not smiles:
        return {}
    metrics = dict(reconstruct(Sampler(model), smiles).metrics)
    del metrics["exact"]
    return {name: round(metric.value, 4) for name, metric in metrics.items()}


def samples(model: GraphsGPT, seed: int) -> dict[str, float]:
    """Validity, without and with constraints, and uniqueness of molecules sampled at temperature 1 without a condition;
    empty for a model that takes none."""
    found: dict[str, float] = {}
    if not model.config.properties:
        return found
    for name, constrained in (("free", False), ("constrained", True)):
        generator = torch.Generator().manual_seed(seed)
        config = SamplingConfig(constrained=constrained, temperature=1.0, redraws=0)
        generated = Sampler(model, config).sample(SAMPLES, (), generator)
        valid = [one.smiles for one in generated if one.status == "ok"]
        found[f"valid, {name}"] = len(valid) / len(generated)
        found[f"unique, {name}"] = len(set(valid)) / max(1, len(valid))
    return found
