"""How likely the model finds each molecule of a file, and which of them are valid."""

from pathlib import Path

import torch

from sparsebench.data.molecules.table import parse_failure
from sparsebench.data.own.molecule_files import open_molecules

from .common import Progress, Summary, is_faithful, pipeline_of, statuses
from .outputs import check_new, csv_rows

COLUMNS = ("row", "smiles", "status", "reason", "valid", "log_likelihood")
PART = 1024
"""Molecules in memory at once."""


def score_file(
    file: Path,
    out: Path,
    *,
    smiles: str = "",
    model: Path | None = None,
    batch_size: int = 256,
    progress: Progress | None = None,
) -> Summary:
    """Write `out`: for each row of the file its number, text, status, reason, validity, and log-likelihood.

    `valid` (1 or 0): RDKit reads and sanitises it. `log_likelihood`: of the molecule given its own words, in nats, as
    `models.graphsgpt.log_likelihood` has it; empty where there are no tokens, which `reason` explains. The same file,
    model and batch size give the same bytes on the same machine.

    Args:
        file: molecules, see `sparsebench.data.own.molecule_files`.
        out: a new .csv file.
        smiles: column with the molecules; guessed where one alone can be meant.
        model: folder of a GraphsGPT; None is the packaged one.
        batch_size: molecules at once.
        progress: is told how many rows are done.

    Returns:
        What became of the rows.

    Raises:
        TableError: a file that cannot be read.
        ModelError: another file in the place, or a model that cannot be used or gives no probabilities.
    """
    check_new(out, ".csv")
    molecules = open_molecules(file, smiles)
    pipeline = pipeline_of(model, batch_size)
    summary = Summary(faithful=is_faithful(pipeline))
    done = 0
    with csv_rows(out, COLUMNS) as writer:
        for part in molecules.parts(PART):
            # Models that number atoms at random are to do it alike at each call.
            encoded = pipeline.encode(part.smiles, torch.Generator(pipeline.model.device).manual_seed(done))
            scores = pipeline.score(part.smiles, encoded.words).tolist()
            said = statuses(part, encoded.status, encoded.reasons)
            for text, (status, reason), score in zip(part.smiles, said, scores, strict=True):
                done += 1
                summary.add(done, text, status, reason)
                valid = status == "ok" or (bool(text) and parse_failure(text) is None)
                facts = {"row": done, "smiles": text, "status": status, "reason": reason, "valid": int(valid)}
                writer.writerow(facts | {"log_likelihood": f"{score:.6g}" if status == "ok" else ""})
            if progress is not None:
                progress(done)
    return summary
