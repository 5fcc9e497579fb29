"""Training of the baseline that writes SMILES strings (`sparsebench.models.molecules.char_rnn`).

    python -m sparsebench.suites.molecules.pretraining.char_rnn OUT

Trains on MOSES's training part without `validation_set`, and writes config.json, model.safetensors (float16) and
card.json into OUT. The same command goes on where it was stopped. The defaults are the settings of
`weights/char_rnn_small`; none of them was searched for.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import torch
import typer

from sparsebench.models.molecules.char_rnn import CharRNN, CharRNNConfig, alphabet

from ...training.callbacks import Progress
from ...training.checkpoint import OtherTrainingError
from ...training.groups import Group
from ...training.loop import train
from ...training.settings import TrainSettings
from ..generation.moses import training_part, validation_set
from ..generation.writers import Strings
from ..metrics.reading import novelty, read
from .clock import ProcessSeconds

STAGE = "training"
MEASURED = 1000
"""Strings that the card's figures are of."""


def main(
    out: Annotated[Path, typer.Argument(help="Folder for the state and the trained model.")],
    steps: Annotated[int, typer.Option(help="Optimizer steps.")] = 2_500,
    batch_size: Annotated[int, typer.Option(help="Molecules of a step.")] = 128,
    learning_rate: Annotated[float, typer.Option(help="Of AdamW, at its peak; it falls to 0.")] = 3e-3,
    width: Annotated[int, typer.Option(help="Hidden size of the LSTM.")] = 320,
    layers: Annotated[int, typer.Option(help="Of the LSTM.")] = 1,
    seed: Annotated[int, typer.Option(help="Of weights and order.")] = 0,
) -> None:
    """Train a CharRNN on MOSES, on one thread."""
    torch.set_num_threads(1)
    molecules = training_part()
    model = CharRNN(CharRNNConfig(characters=alphabet(molecules), width=width, layers=layers, seed=seed))
    settings = TrainSettings(
        steps=steps, batch_size=batch_size, clip=1.0, warmup=0.02, precision="bfloat16", save_every=500, seed=seed
    )
    try:
        seconds = fit(model, molecules, settings, learning_rate, out)
    except OtherTrainingError as error:
        raise typer.BadParameter(str(error), param_hint="OUT") from error
    write_model(out, model, settings, learning_rate, seconds, steps * batch_size)


def fit(model: CharRNN, molecules: Sequence[str], settings: TrainSettings, learning_rate: float, folder: Path) -> float:
    """Train by teacher forcing: each character from those before it.

    Args:
        model: is trained in place.
        molecules: SMILES strings.
        settings: how long, and how.
        learning_rate: of AdamW, at its peak.
        folder: holds checkpoints, from which training goes on.

    Returns:
        CPU seconds of the training, checkpoints included.

    Raises:
        OtherTrainingError: the folder holds another training.
    """
    clock = ProcessSeconds()
    train(
        model,
        Strings(model, molecules),
        lambda network, batch: network.loss(batch),
        groups=[Group.adamw("model", model, learning_rate=learning_rate, weight_decay=0.01)],
        settings=settings,
        callbacks=[clock, Progress(50)],
        folder=folder,
        stage=STAGE,
    )
    return clock.seconds


def write_model(
    folder: Path, model: CharRNN, settings: TrainSettings, learning_rate: float, seconds: float, seen: int
) -> None:
    """Write the weights in float16, and the card, whose figures are of the rounded weights; `seen` are molecules."""
    model.half().save(folder)
    rounded = CharRNN.load(folder)
    written = rounded.sample(MEASURED, generator=torch.Generator().manual_seed(settings.seed))
    valid = read([one.text for one in written])
    found = {
        "model": "CharRNN: SMILES strings by characters, LSTM",
        "parameters": sum(weight.numel() for weight in rounded.parameters()),
        "molecules": {"in the corpus": len(training_part()), "seen": seen},
        "settings": {**asdict(settings), "learning_rate": learning_rate, "weight_decay": 0.01},
        "core seconds": round(seconds),
        "threads": torch.get_num_threads(),
        "nats a molecule of the validation set": round(_nats(rounded, validation_set()[:MEASURED]), 4),
        "sampled at temperature 1": {
            "strings": len(written),
            "valid": len(valid.smiles) / len(written),
            "unique among the valid": len(set(valid.smiles)) / max(1, len(valid.smiles)),
            "novel among the unique": novelty(valid.smiles, training_part()).value if valid.smiles else None,
        },
        "versions": {name: version(name) for name in ("torch", "rdkit", "numpy")},
    }
    (folder / "card.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def _nats(model: CharRNN, smiles: Sequence[str]) -> float:
    return -float(model.log_likelihood(smiles).mean())


if __name__ == "__main__":
    typer.run(main)
