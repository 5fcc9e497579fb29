"""A prior over graph words, fitted after the training: does drawing with words come nearer to MOSES than without?

    python -m sparsebench.suites.molecules.pretraining.prior FOLDER

Fits a `WordPrior` to words of training molecules for each number of words and of components that is asked for, draws
1,000 molecules with each of them and with none, and compares FCD to `validation_set`; the test part is not looked at.
The figures go into FOLDER/prior.json. The best prior is saved with the model, unless drawing without one is best.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from time import process_time
from typing import Annotated, Any

import torch
import typer
from torch import Tensor

from sparsebench.models.graphsgpt import GraphsGPT, GraphsGPTPipeline
from sparsebench.models.graphsgpt.model.prior import WordPrior, fit_prior

from ..generation.moses import training_part
from ..generation.sampler import Sampler, draws_per_kept
from ..metrics.reading import novelty, read
from .curve import SAMPLED, Distance

FILE = "prior.json"


def main(
    folder: Annotated[Path, typer.Argument(help="Of a trained model.")],
    words: Annotated[list[int] | None, typer.Option(help="Words that are drawn, at most K; may be repeated.")] = None,
    components: Annotated[list[int] | None, typer.Option(help="Of the mixture; may be repeated.")] = None,
    directions: Annotated[int, typer.Option(help="In which words vary together, at most.")] = 128,
    molecules: Annotated[int, typer.Option(help="Training molecules whose words it is fitted to.")] = 20_000,
    seeds: Annotated[int, typer.Option(help="Of sampling, from 0.")] = 2,
) -> None:
    """Fit, compare and save."""
    torch.set_num_threads(1)
    model = GraphsGPT.from_pretrained(folder, dtype=torch.float32).eval()
    assert isinstance(model, GraphsGPT)
    model.prior = model.config.prior = None
    distance = Distance()
    training = training_part()[:molecules]
    rows = [{"words": 0, **drawn(model, distance, training, seeds)}]
    priors: list[WordPrior | None] = [None]
    for count in words or sorted({1, model.config.num_words}):
        own = own_words(model, training, count)
        for number in components or [1, 16]:
            began = process_time()
            model.prior = fit_prior(model.config, own, directions=directions, components=number)
            row = {**(model.config.prior or {}), "core seconds of fitting": round(process_time() - began, 1)}
            rows.append(row | drawn(model, distance, training, seeds))
            priors.append(model.prior)
    best = min(range(len(rows)), key=lambda place: rows[place]["FCD"])
    (folder / FILE).write_text(json.dumps({"best": best, "rows": rows}, indent=2) + "\n", encoding="utf-8")
    typer.echo(json.dumps(rows, indent=2))
    save(model, priors[best], rows[best], folder)


def own_words(model: GraphsGPT, molecules: Sequence[str], count: int) -> Tensor:
    """The words (M, `count`, D) of molecules of the vocabulary, encoded into so many."""
    encoded = GraphsGPTPipeline(model, num_words=count).encode(molecules)
    return encoded.words[torch.from_numpy(encoded.ok)]


def drawn(model: GraphsGPT, distance: Distance, training: Sequence[str], seeds: int) -> dict[str, Any]:
    """Means over the seeds, of molecules drawn as in the task; novelty is to those that the prior was fitted to."""
    found: list[tuple[float, float, float]] = []
    for seed in range(seeds):
        generated = Sampler(model).sample(SAMPLED, (), torch.Generator().manual_seed(seed))
        smiles = read([one.smiles for one in generated]).smiles
        found.append((distance(smiles), draws_per_kept(generated).value, novelty(smiles, training).value))
    means = torch.tensor(found, dtype=torch.float64).mean(0).tolist()
    names = ("FCD", "draws per kept", "novelty to what it was fitted to")
    return {name: round(value, 4) for name, value in zip(names, means, strict=True)}


def save(model: GraphsGPT, prior: WordPrior | None, row: dict[str, Any], folder: Path) -> None:
    """Write the model again, in float16, with the prior; nothing where there is none."""
    if prior is None:
        typer.echo("drawing without words is best: the model stays as it is")
        return
    model.prior = prior
    model.config.prior = {name: row[name] for name in ("words", "directions", "components")}
    model.half().save_pretrained(folder)
    typer.echo(f"saved with a prior over {row['words']} words of {row['components']} components")


if __name__ == "__main__":
    typer.run(main)
