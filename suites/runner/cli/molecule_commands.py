"""`molecules encode | generate | score`: from files of molecules to graph words, new molecules, likelihoods."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from ..interrupts import INTERRUPTED, end_in_order
from .options import LARGEST_SEED
from .output import announce, say

if TYPE_CHECKING:
    from sparsebench.models.graphsgpt.features import Pool
    from sparsebench.suites.molecules.verbs.common import Progress, Summary

FileArgument = Annotated[
    Path, typer.Argument(metavar="FILE", help="Molecules: .csv, .tsv (.gz), .parquet, .smi, .txt, .sdf.")
]
SmilesOption = Annotated[str, typer.Option(help="Column of the molecules (guessed where one alone can be meant).")]
ModelOption = Annotated[
    Path | None, typer.Option(help="Folder of a GraphsGPT (the small one of the package unless given).")
]
BatchOption = Annotated[int, typer.Option("--batch-size", min=1, help="Molecules that are worked on at once.")]


def encode(
    file: FileArgument,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new .parquet file.")],
    smiles: SmilesOption = "",
    model: ModelOption = None,
    pool: Annotated[str, typer.Option(help="concat (all words), mean or first.")] = "concat",
    batch_size: BatchOption = 256,
) -> None:
    """Graph words of each molecule of a file, as parquet: row, smiles, status, reason, words.

    Rows come in the order of the file and none is dropped; one without words says why. Memory holds a few thousand
    molecules, whatever the file. The same command goes on where it was stopped (parts in OUT.parts until the end, so
    that the disk needs the size of OUT twice: 4 kB a molecule, 0.5 kB with --pool mean or first). Words hold no stereo,
    and molecules of at most 128 atoms; those of a published model hold no charges, isotopes, radicals and lone atoms
    either, which is said. Exit code 1 if no row has words.
    """
    announce(f"reading {file}", err=True)
    from sparsebench.suites.molecules.verbs.encoding import encode_file

    with _in_order("stopped; the same command goes on from here"), _progress("encoded") as progress:
        summary = encode_file(
            file, out, smiles=smiles, model=model, pool=cast("Pool", pool), batch_size=batch_size, progress=progress
        )
    _tell(summary, out)


def generate(
    n: Annotated[int, typer.Argument(metavar="N", min=1, help="How many.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new .csv file.")],
    seed: Annotated[int, typer.Option(min=0, max=LARGEST_SEED, help="Of the drawing.")] = 0,
    temperature: Annotated[float, typer.Option(min=0, help="How freely; 0: the most likely edge each time.")] = 0.9,
    repair: Annotated[
        bool, typer.Option("--repair", help="Replace an edge that is not allowed; else the molecule is drawn again.")
    ] = False,
    property_: Annotated[
        list[str] | None,
        typer.Option("--property", metavar="NAME=VALUE", help="Wanted, as logp=2.5 (may be repeated)."),
    ] = None,
    scaffold: Annotated[str | None, typer.Option(help="SMILES from which every molecule grows.")] = None,
    model: ModelOption = None,
    batch_size: BatchOption = 256,
) -> None:
    """New molecules, as CSV: row, smiles, status, reason, log_prob, repaired, draws, and logp, qed, sa, mw of RDKit.

    Properties (the packaged model knows logp, qed, sa, mw) steer and do not force; a value outside of three standard
    deviations of the training molecules is warned of. A scaffold loses its stereo, which is said. The packaged model
    knows molecules like those of MOSES, drug-like and of 8 to 27 atoms. The same seed gives the same molecules.
    """
    announce(f"making {n} molecules", err=True)
    from sparsebench.suites.molecules.verbs.generating import generate_file, read_wanted

    wanted = read_wanted(property_ or [])
    with _in_order("stopped; nothing is written"), _progress("made") as progress:
        summary, notes = generate_file(
            n,
            out,
            seed=seed,
            temperature=temperature,
            repair=repair,
            wanted=wanted,
            scaffold=scaffold,
            model=model,
            batch_size=batch_size,
            progress=progress,
        )
    for note in notes:
        say(f"note: {note}", err=True)
    _tell(summary, out)


def score(
    file: FileArgument,
    out: Annotated[Path | None, typer.Argument(metavar="[OUT]", help="A new .csv file (NAME-scores.csv).")] = None,
    smiles: SmilesOption = "",
    model: ModelOption = None,
    batch_size: BatchOption = 256,
) -> None:
    """Log-likelihood of each molecule given its own words, in nats, and whether it is valid: a row for each row.

    CSV: row, smiles, status, reason, valid (RDKit reads and sanitises it), log_likelihood (empty without tokens).
    Exit code 1 if no row has one.
    """
    announce(f"reading {file}", err=True)
    from sparsebench.suites.molecules.verbs.scoring import score_file

    place = out or Path(f"{file.name.partition('.')[0]}-scores.csv")
    with _in_order("stopped; nothing is written"), _progress("scored") as progress:
        summary = score_file(file, place, smiles=smiles, model=model, batch_size=batch_size, progress=progress)
    _tell(summary, place)


@contextmanager
def _in_order(stopped: str) -> Iterator[None]:
    """Ctrl-C ends a command in order, with a line of what is left."""
    end_in_order()
    try:
        yield
    except KeyboardInterrupt:
        say(f"sparsebench: {stopped}", err=True)
        raise typer.Exit(INTERRUPTED) from None


@contextmanager
def _progress(done: str) -> Iterator["Progress"]:
    """Says on stderr how many are done and how fast: one line on a terminal, else one for each minute."""
    import sys
    from time import monotonic

    start = monotonic()
    told = start
    terminal = sys.stderr.isatty()

    def tell(rows: int) -> None:
        nonlocal told
        now = monotonic()
        if now - told < (0.5 if terminal else 60):
            return
        told = now
        line = f"{rows:,} {done}, {rows / (now - start):,.0f} a second"
        sys.stderr.write(f"\r{line}" if terminal else f"{line}\n")
        sys.stderr.flush()

    yield tell
    if terminal and told != start:
        sys.stderr.write("\n")


def _tell(summary: "Summary", out: Path) -> None:
    said = ", ".join(f"{count:,} {status}" for status, count in summary.counts.most_common())
    say(f"{said}; written to {out}")
    for line in summary.bad:
        say(line)
    if summary.stereo:
        say(f"{summary.stereo:,} molecules have stereo, which graph words do not hold")
    if summary.lost:
        kinds = ", ".join(f"{count:,} molecules with {kind}" for kind, count in summary.lost.items())
        say(f"the vocabulary of this model holds elements and bonds alone, and drops the rest of {kinds}")
    if not summary.counts["ok"]:
        raise typer.Exit(1)


COMMANDS = {"encode": encode, "generate": generate, "score": score}
