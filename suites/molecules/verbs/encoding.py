"""Graph words of all molecules of a file, into a parquet file, in memory for one part of them."""

import json
from importlib.metadata import version
from pathlib import Path
from typing import get_args

import numpy as np
import pyarrow as pa
import torch

from sparsebench.data.own.molecule_files import MoleculePart, open_molecules
from sparsebench.models.errors import check_choice
from sparsebench.models.graphsgpt import GraphsGPTPipeline
from sparsebench.models.graphsgpt.features import Pool, pooled

from .common import Progress, Summary, is_faithful, pipeline_of, statuses, weights_digest
from .outputs import Parts, check_new

PART = 4096
"""Molecules of a part, which is a row group."""


def encode_file(
    file: Path,
    out: Path,
    *,
    smiles: str = "",
    model: Path | None = None,
    pool: Pool = "concat",
    batch_size: int = 256,
    progress: Progress | None = None,
) -> Summary:
    """Write `out`: for each row of the file its number, text, status, reason, and words.

    The columns are `row` (int64, from 1), `smiles`, `status` ("ok" or a `TokenStatus`, "unreadable" for a broken
    record), `reason`, and `words`, float32 lists of one length, null where there are none: all K words of width D one
    after the other, their mean or the first. The metadata `sparsebench` has K and D. Parts are kept in a folder beside
    `out` until the end; called again, the same goes on there. The same file, model and batch size give the same bytes
    on the same machine.

    Args:
        file: molecules, see `sparsebench.data.own.molecule_files`.
        out: a new .parquet file. Until the end it needs its size twice on the disk.
        smiles: column with the molecules; guessed where one alone can be meant.
        model: folder of a GraphsGPT; None is the packaged one.
        pool: "concat" (all words), "mean" or "first".
        batch_size: molecules at once.
        progress: is told how many rows are done.

    Returns:
        What became of the rows.

    Raises:
        TableError: a file that cannot be read.
        ModelError: another file in the place, parts of another run, a model that cannot be used.

    Example::

        encode_file(Path("mine.csv"), Path("mine.parquet"), smiles="SMILES")
        words = np.stack(pandas.read_parquet("mine.parquet").dropna()["words"])
    """
    check_choice("pool", pool, get_args(Pool))
    check_new(out, ".parquet")
    molecules = open_molecules(file, smiles)
    pipeline = pipeline_of(model, batch_size)
    config = pipeline.model.config
    plan = {
        "version": version("sparsebench"),
        "file": molecules.digest,
        "column": molecules.column,
        "model": weights_digest(pipeline.model),
        "pool": pool,
        "batch_size": batch_size,
        "words": config.num_words,
        "width": config.hidden_size,
    }
    parts = Parts(out, plan)
    count = 0
    for count, part in enumerate(molecules.parts(PART), start=1):
        first = (count - 1) * PART
        if count - 1 not in parts:
            parts.write(count - 1, _encoded(pipeline, part, first, pool, json.dumps(plan, sort_keys=True)))
        if progress is not None:
            progress(first + len(part.smiles))
    summary = Summary(faithful=is_faithful(pipeline))
    for rows in parts.join(count):
        said = rows.select(["row", "smiles", "status", "reason"]).to_pydict()
        for row in zip(*said.values(), strict=True):
            summary.add(*row)
    return summary


def _encoded(pipeline: GraphsGPTPipeline, part: MoleculePart, first: int, pool: Pool, plan: str) -> pa.Table:
    """The rows of a part as they are written, numbers from `first` + 1."""
    # Atoms are numbered at random only by models made so: the same numbers at each call, whatever was done before.
    encoded = pipeline.encode(part.smiles, torch.Generator(pipeline.model.device).manual_seed(first))
    said = statuses(part, encoded.status, encoded.reasons)
    features = pooled(encoded.words, pool).numpy()
    missing = np.array([status != "ok" for status, _ in said])
    flat = pa.array(np.where(missing[:, None], 0, features).ravel().astype(np.float32))
    words = pa.FixedSizeListArray.from_arrays(flat, features.shape[1], mask=pa.array(missing))
    columns = {
        "row": pa.array(range(first + 1, first + len(said) + 1), pa.int64()),
        "smiles": pa.array(part.smiles, pa.string()),
        "status": pa.array([status for status, _ in said], pa.string()),
        "reason": pa.array([reason for _, reason in said], pa.string()),
        "words": words,
    }
    return pa.table(columns).replace_schema_metadata({"sparsebench": plan})
