"""`import`: what models of others become here."""

from pathlib import Path
from typing import Annotated

import typer

from .output import announce, say


def import_(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A folder, a file, or a model's name on the hub.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new folder.")],
    layout: Annotated[str | None, typer.Option(help="Its layout, where it is not recognised.")] = None,
) -> None:
    """A checkpoint in the layout of a paper's own code, as a folder that sparsebench.models.load opens.

    Every tensor is read, or nothing is written. What the checkpoint cannot tell is said.
    """
    announce(f"reading {source}")
    from sparsebench.models.official import import_official

    found = import_official(source, out, layout=layout)
    say(f"{found.title} (layout {found.layout}): {found.tensors} tensors, {found.parameters:,} parameters, all read")
    for line in found.unknown:
        say(f"not told by the checkpoint: {line}")
    say(f"written to {out}; in Python: sparsebench.models.load({str(out)!r})")
