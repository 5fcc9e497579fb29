"""At which temperature a packaged generator is sampled: the one with the lowest FCD to validation molecules.

    python -m sparsebench.suites.molecules.pretraining.temperature graphsgpt
    python -m sparsebench.suites.molecules.pretraining.temperature char_rnn

MOSES has no validation part, so `validation_set` is cut from its training part; the test part is not looked at. What is
drawn again is as in the task. The figures are in `weights/README.md`.
"""

from typing import Annotated, Literal

import numpy as np
import torch
import typer

from sparsebench.data.sources import path
from sparsebench.models.molecules.chemnet import ChemNet, load_chemnet

from ..char_rnn_small import load_char_rnn
from ..generation.moses import validation_set
from ..generation.sampler import Sampler, SamplingConfig, draws_per_kept
from ..generation.string_sampler import StringSampler
from ..graphsgpt_small import load_small
from ..metrics.distributions import frechet_chemnet_distance, gaussian
from ..metrics.reading import novelty, read

Which = Literal["graphsgpt", "char_rnn"]


def main(
    model: Annotated[Which, typer.Argument(help="Which packaged generator.")],
    temperatures: Annotated[list[float] | None, typer.Option("--temperature", help="May be repeated.")] = None,
    count: Annotated[int, typer.Option(help="Molecules for each temperature and seed.")] = 1000,
    seeds: Annotated[int, typer.Option(help="Of sampling, from 0.")] = 3,
) -> None:
    """Print a row for each temperature and seed, and the means."""
    torch.set_num_threads(1)
    chemnet = load_chemnet(path("chemnet", "weights"))
    moments = gaussian(chemnet.activations(validation_set()).numpy())
    typer.echo("temperature\tseed\tFCD\tdraws per kept\tnovelty to the validation set")
    means: dict[float, float] = {}
    for temperature in temperatures or [0.8, 0.9, 1.0]:
        found = []
        for seed in range(seeds):
            generated = sampler(model, temperature).sample(count, (), torch.Generator().manual_seed(seed))
            smiles = read([one.smiles for one in generated]).smiles
            distance = _distance(chemnet, smiles, moments)
            found.append(distance)
            draws = draws_per_kept(generated).value
            new = novelty(smiles, validation_set()).value
            typer.echo(f"{temperature}\t{seed}\t{distance:.3f}\t{draws:.3f}\t{new:.3f}")
        means[temperature] = sum(found) / len(found)
    for temperature, mean in means.items():
        typer.echo(f"{temperature}\tmean\t{mean:.3f}")
    typer.echo(f"lowest: {min(means, key=means.__getitem__)}")


def sampler(model: Which, temperature: float) -> Sampler | StringSampler:
    """The packaged generator as the task samples it, at another temperature."""
    if model == "graphsgpt":
        return Sampler(load_small(), SamplingConfig(temperature=temperature))
    return StringSampler(load_char_rnn(), temperature)


def _distance(chemnet: ChemNet, smiles: list[str], moments: tuple[np.ndarray, np.ndarray]) -> float:
    return frechet_chemnet_distance(chemnet.activations(smiles).numpy(), *moments).value


if __name__ == "__main__":
    typer.run(main)
