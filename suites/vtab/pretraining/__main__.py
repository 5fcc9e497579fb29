"""Command line of the pre-training.

    python -m sparsebench.suites.vtab.pretraining vit_tiny_b suites/vtab/weights --photographs cifar10.zip

Without `--photographs`, CIFAR-10 is fetched from the hub. One thread, one seed; the same command goes on where it was
stopped. Every drawn image is new, and no image of the suite is read. Writes the weights without their outputs in
float16, and `<name>.json` next to them: what the model is, how it was trained and how good it is.
"""

import json
import shutil
from pathlib import Path
from typing import Annotated

import torch
import typer

from sparsebench.data.vision.cifar10 import cifar10

from .card import write_model
from .recipes import RECIPES
from .training import sources, train


def main(
    name: Annotated[str, typer.Argument(help=f"Of the network: {', '.join(RECIPES)}.")],
    out: Annotated[Path, typer.Argument(help="Folder for the two files, and for the state until then.")],
    photographs: Annotated[
        Path | None, typer.Option(help="Folder or zip with {train,test}/<class>/<image>; by default the hub's.")
    ] = None,
) -> None:
    """Pre-train one of the small ViTs."""
    if name not in RECIPES:
        raise typer.BadParameter(f"{name!r}: write one of {', '.join(RECIPES)}")
    torch.set_num_threads(1)
    recipe = RECIPES[name]
    train_photographs = test_photographs = None
    if recipe.photographs:
        train_photographs = cifar10(photographs, "train")
        test_photographs = cifar10(photographs, "test")
    learnt = sources(recipe, train_photographs)
    held_out = sources(recipe, test_photographs, changed=False)
    state = out / f"{name}.training"
    model, result = train(recipe, learnt, state)
    card = write_model(name, model, recipe, learnt, held_out, result.seconds, out)
    shutil.rmtree(state)
    typer.echo(json.dumps(card, indent=2))


if __name__ == "__main__":
    typer.run(main)
