"""Trains the small Llama on the first halves of the calibration text, and says which documents it has not seen.

    python -m sparsebench.suites.llm.small_models.half_llama half_llama.safetensors

The recipe of `llama.py`: one thread, one seed, about ten minutes. Who sees what of a text domain:

- Documents of its half "test": the scores alone.
- Documents of its half "calibration", in their order, joined by blank lines. The first 49 % of the bytes: this model,
  and the models of `from_scratch.py`. Documents that begin behind: no model that is published here; `unseen` gives the
  last tenth of them for validation, the others to train on, of both only what has no run of 13 words in common with
  what is scored (`sparsebench.data.text.training_parts`).
- All of the half "calibration", at random places: what a conversion calibrates on, a few thousand tokens.

A piece of code that is not seen may solve a problem whose solution in another language is. `small_llama` and
`small_mixture` were trained on all of the calibration halves.
"""

import shutil
import sys
from pathlib import Path
from typing import Literal

import torch

from sparsebench.data.cache.ledger import cached_reads
from sparsebench.data.text.documents import documents, passages
from sparsebench.data.text.halves import pieces

from ..language.task import SEPARATOR
from . import llama
from .from_scratch import first_halves

CHARACTERS = 4000
"""Of a piece, about, at most: as in the other tasks."""
VALIDATION = 10
"""One in so many unseen documents, the last ones, rounded up."""


def main(out: Path) -> None:
    """Train and write. After a stop, the same command goes on."""
    torch.set_num_threads(1)
    training, held_out = llama.streams()
    folder = out.with_suffix(".training")
    llama.write(llama.train(first_halves(training), folder=folder), held_out, out)
    shutil.rmtree(folder)


@cached_reads(maxsize=32)
def unseen(domain: str, part: Literal["train", "val"]) -> tuple[str, ...]:
    """Pieces of the calibration documents that no model saw that was trained on the first halves.

    Args:
        domain: its name.
        part: "val", of the last tenth of these documents, or "train", of the others.

    Returns:
        The pieces, in the order of their hash; none in both parts, none that is also cut from a document that was seen.

    Raises:
        UnknownSource: an unknown domain.
        DataError: what `sparsebench.data.text.documents.passages` raises.
    """
    known = documents(domain, "calibration")
    new = known[_seen(known) :]
    last = len(new) - -(-len(new) // VALIDATION)
    parts = {"train": new[:last], "val": new[last:]}
    allowed = {*passages(domain, "train", CHARACTERS), *passages(domain, "val", CHARACTERS)}
    allowed.difference_update(pieces(known[: _seen(known)], CHARACTERS))
    if part == "train":
        allowed.difference_update(pieces(parts["val"], CHARACTERS))
    return tuple(piece for piece in pieces(parts[part], CHARACTERS) if piece in allowed)


def _seen(known: list[str]) -> int:
    """How many of the documents begin in the first half of the bytes, which are the tokens of `llama.streams`."""
    sizes = [len((text + SEPARATOR).encode()) for text in known]
    total = sum(sizes) - len(SEPARATOR)
    end = len(first_halves([torch.empty(round(total * (1 - llama.HELD_OUT)))])[0])
    begin = 0
    for number, size in enumerate(sizes):
        if begin >= end:
            return number
        begin += size
    return len(known)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
