"""Command line of the pre-training.

    python -m sparsebench.suites.molecules.pretraining OUT [--smiles FILE]
    torchrun --nproc-per-node 2 -m sparsebench.suites.molecules.pretraining OUT  # processes or GPUs

Prepares the molecules in OUT/corpus (by default MOSES's training part without `validation_set`) and OUT/more, trains,
and writes config.json, model.safetensors (float16), card.json and, with --points, curve.json into OUT. The same command
goes on where it was stopped.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated

import torch
import typer
from accelerate import PartialState

from sparsebench.data.errors import TableError
from sparsebench.models.graphsgpt import GraphsGPT, GraphsGPTConfig

from ...training.checkpoint import OtherTrainingError
from ..generation.moses import test_set, training_part, validation_set
from .batches import Batches
from .card import ELSEWHERE, write_model
from .corpus import Corpus, OtherMoleculesError, Stream, UnreadableMoleculesError, build_corpus, read_smiles
from .loop import Settings, pretrain


def main(
    out: Annotated[Path, typer.Argument(help="Folder for the corpus, the state and the trained model.")],
    smiles: Annotated[
        Path | None, typer.Option(help="CSV, Parquet, SDF, or SMILES first in each line; by default MOSES.")
    ] = None,
    column: Annotated[str, typer.Option(help="Its column with the molecules; guessed where one can be meant.")] = "",
    held_out: Annotated[
        Path | None, typer.Option(help="The same for molecules to test on; with --smiles only.")
    ] = None,
    more: Annotated[
        Path | None, typer.Option(help="A file of molecules of other kinds (`kinds`), for steps with own words.")
    ] = None,
    more_fraction: Annotated[
        float, typer.Option(min=0, max=1, help="Fraction of these steps whose molecules are from there.")
    ] = 0.5,
    also_on: Annotated[
        list[Path] | None, typer.Option(help="Files of molecules that the card tells how many of come back.")
    ] = None,
    go_on_from: Annotated[
        Path | None,
        typer.Option(help="Folder of a trained model to go on from; sizes and properties are then its own."),
    ] = None,
    steps: Annotated[int, typer.Option(help="Optimizer steps.")] = 6_000,
    batch_size: Annotated[int, typer.Option(help="Molecules for each process and step.")] = 64,
    learning_rate: Annotated[float, typer.Option(help="Of AdamW, at its peak.")] = 3e-3,
    matrix_rate: Annotated[float, typer.Option(help="Of Muon, for the matrices of the layers.")] = 1e-2,
    width: Annotated[int, typer.Option(help="Hidden size; the FFN has four times as many.")] = 128,
    layers: Annotated[int, typer.Option(help="Of each half.")] = 4,
    heads: Annotated[int, typer.Option(help="Of each layer.")] = 4,
    words: Annotated[int, typer.Option(help="K, the graph words of a molecule.")] = 8,
    word_dropout: Annotated[float, typer.Option(help="Fraction of the steps with 1..K words.")] = 0.3,
    conditions: Annotated[
        int, typer.Option(help="Molecules whose scaffold and properties are computed; 0: none.")
    ] = 300_000,
    condition_fraction: Annotated[float, typer.Option(help="Fraction of the steps that learn conditions.")] = 0.3,
    free_fraction: Annotated[
        float, typer.Option(help="Fraction of the steps that learn to draw where nothing is asked for.")
    ] = 0.0,
    grow: Annotated[float, typer.Option(help="Fraction of the steps in which molecules grow to their length.")] = 0.4,
    points: Annotated[int, typer.Option(help="At how many a learning curve is measured, with MOSES only.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes that prepare the molecules.")] = 2,
    threads: Annotated[int, typer.Option(help="Threads of each training process.")] = 1,
    seed: Annotated[int, typer.Option(help="Of weights, order and conditions.")] = 0,
) -> None:
    """Pre-train GraphsGPT."""
    torch.set_num_threads(threads)
    state = PartialState(cpu=not torch.cuda.is_available())
    if not conditions:
        condition_fraction = 0.0
    if (free_fraction and not conditions) or condition_fraction + free_fraction > 1:
        raise typer.BadParameter(
            "it needs --conditions, and at most 1 together with --condition-fraction", param_hint="--free-fraction"
        )
    if points and smiles is not None:
        raise typer.BadParameter("a curve is measured on MOSES, not on other molecules", param_hint="--points")
    settings = Settings(
        steps=steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        matrix_rate=matrix_rate,
        condition_fraction=condition_fraction,
        free_fraction=free_fraction,
        word_dropout=word_dropout,
        grow=grow,
        points=points,
        seed=seed,
    )
    with _errors_in_a_line():
        test = [] if held_out is None else list(read_smiles(held_out, column))
        elsewhere = {file.name: list(islice(read_smiles(file), ELSEWHERE)) for file in also_on or ()}
        corpus = _corpus(out / "corpus", smiles, column, conditions, workers)
        others = None if more is None else _corpus(out / "more", more, "", 0, workers)
    config = GraphsGPTConfig.of(
        corpus.molecules.vocabulary,
        num_words=words,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        properties=corpus.statistics() if conditions else None,
        autoregressive_heads=True,
        seed=seed,
    )
    fresh = GraphsGPT(config) if go_on_from is None else trained(go_on_from)
    batches = Batches(
        corpus=corpus,
        batch_size=batch_size,
        condition_fraction=condition_fraction,
        num_words=fresh.config.num_words,
        word_dropout=word_dropout,
        seed=seed,
        grow=round(grow * steps),
        free_fraction=free_fraction,
        more=others,
        more_fraction=more_fraction,
    )
    with _errors_in_a_line():
        done = pretrain(fresh, batches, settings, out, validation_set() if points else ())
    if state.is_main_process:
        if smiles is None:
            test = test_set()
        write_model(out, done, settings, batches, test, elsewhere, go_on_from)


@contextmanager
def _errors_in_a_line() -> Iterator[None]:
    """A folder of another training, or a file without molecules, is the user's mistake: no traceback."""
    try:
        yield
    except (OtherMoleculesError, OtherTrainingError) as error:
        raise typer.BadParameter(str(error), param_hint="OUT") from error
    except (UnreadableMoleculesError, TableError) as error:
        raise typer.BadParameter(str(error), param_hint="SMILES") from error


def _corpus(folder: Path, smiles: Path | None, column: str, conditions: int, workers: int) -> Corpus:
    """The main process prepares what the others then open."""
    stream: Stream = training_part
    if smiles is not None:
        stream = partial(read_smiles, smiles, column)
    with PartialState().main_process_first():
        corpus = build_corpus(folder, stream, conditions=conditions, workers=workers, canonical=smiles is None)
    refused = len(corpus.molecules) - len(corpus.molecules.ok)
    if refused:
        typer.echo(f"{refused} of {len(corpus.molecules)} molecules have no tokens and are passed over", err=True)
    return corpus


def trained(folder: Path) -> GraphsGPT:
    """The trained model with autoregressive heads, which change nothing before they are trained."""
    config = GraphsGPTConfig.from_pretrained(folder)
    config.autoregressive_heads = True
    model = GraphsGPT.from_pretrained(folder, config=config, dtype=torch.float32)
    assert isinstance(model, GraphsGPT)
    return model


if __name__ == "__main__":
    typer.run(main)
