"""What is written at the end of pre-training: the weights, how they came about, and how good they are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import torch
from accelerate import PartialState

from sparsebench.models.graphsgpt import GraphsGPT

from ..generation_task import Drawing, Sampler
from ..reconstruction import reconstruct
from .corpus import Corpus
from .loop import Settings

HELD_OUT, SAMPLES = 1000, 1000


def write_model(
    folder: Path,
    model: GraphsGPT,
    settings: Settings,
    corpus: Corpus,
    test: Sequence[str],
    seconds: float,
    start: Path | None = None,
) -> None:
    """Write config.json, model.safetensors in float16 and card.json; what is measured are the rounded weights. The card
    of the model that training went on from, in the folder `start`, is taken over."""
    rounded = GraphsGPT(model.config)
    rounded.load_state_dict(model.cpu().state_dict())
    rounded.half().save_pretrained(folder)
    rounded = rounded.float().eval()
    found = {
        "model": "GraphsGPT, improved mode: both halves and heads",
        "parameters": sum(weight.numel() for weight in rounded.parameters()),
        "molecules": {"in the corpus": len(corpus.molecules.ok), "with requests": len(corpus.scaffolds)},
        "settings": asdict(settings),
        "went on from": None if start is None else json.loads((start / "card.json").read_text(encoding="utf-8")),
        "processes": PartialState().num_processes,
        "seconds": round(seconds),
        "threads of each process": torch.get_num_threads(),
        "held-out molecules": min(HELD_OUT, len(test)),
        "exact reconstruction": reconstruction(rounded, test[:HELD_OUT]),
        "drawn without a request": samples(rounded, settings.seed),
        "versions": {name: version(name) for name in ("torch", "transformers", "rdkit", "numpy")},
    }
    (folder / "card.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def reconstruction(model: GraphsGPT, smiles: Sequence[str]) -> dict[str, float]:
    """Share of the molecules that come back exactly (canonical SMILES without stereo), by number of words."""
    metrics = reconstruct(Sampler(model), smiles).metrics if smiles else {}
    return {name: round(metric.value, 4) for name, metric in metrics.items() if name != "exact"}


def samples(model: GraphsGPT, seed: int) -> dict[str, float]:
    """Validity, without and with constraints, and uniqueness of molecules drawn at temperature 1 without a request."""
    found: dict[str, float] = {}
    for constrained in (False, True) if model.config.properties else ():
        draw = torch.Generator().manual_seed(seed)
        made = Sampler(model, Drawing(constrained=constrained)).draw(SAMPLES, (), draw)
        valid = [one.smiles for one in made if one.status == "ok"]
        name = "constrained" if constrained else "free"
        found |= {f"valid, {name}": len(valid) / len(made), f"unique, {name}": len(set(valid)) / max(1, len(valid))}
    return found
