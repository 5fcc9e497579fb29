"""Drawings of molecules.

The JSON: `[{"title": str, "kind": "grid" | "path", "items": [{"smiles": str, "caption": str}, ...]}, ...]`.
A grid is a set (what a model generated), a path is a row in order (latent interpolation).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass
from itertools import chain
from typing import Any, get_args

from ..figures import Gallery, GalleryKind, Picture
from ..figures.molecules import draw_molecule
from ..records.record import RecordError
from .panel import Content, Entry, Panel, more

MAX_SETS = 6
"""Sets of molecules per suite: with 24 molecules each they take half a megabyte."""
MAX_MOLECULES = 24
LEGEND = "The lowest seed. A text instead of a drawing: no valid molecule, or too large to draw."


@dataclass(frozen=True)
class Drawn:
    """One molecule, and what stands under it."""

    smiles: str
    caption: str = ""


@dataclass(frozen=True)
class MoleculeSet:
    """Molecules that belong together.

    Raises:
        RecordError: a kind that is none, no molecules, something that is no text.
    """

    title: str
    kind: GalleryKind
    items: tuple[Drawn, ...]

    def __post_init__(self) -> None:
        kinds = get_args(GalleryKind)
        if self.kind not in kinds:
            raise RecordError(f"molecules {self.title!r}: kind {self.kind!r} is none of {', '.join(kinds)}")
        if not self.items:
            raise RecordError(f"molecules {self.title!r}: there are none")
        for text in chain([self.title], *map(astuple, self.items)):
            if not isinstance(text, str):
                raise RecordError(f"molecules {self.title!r}: {text!r} is no text")


def to_details(sets: Sequence[MoleculeSet]) -> dict[str, Any]:
    """As an entry of `Record.details`; nothing for no sets."""
    found = []
    for one in sets:
        found.append({"title": one.title, "kind": one.kind, "items": [asdict(item) for item in one.items]})
    return {PANEL.key: found} if found else {}


class MoleculesPanel(Panel[tuple[MoleculeSet, ...]]):
    """The first sets of molecules, row by row of the table."""

    key = "molecules"

    def parse(self, value: Any) -> tuple[MoleculeSet, ...]:
        """The sets of one record."""
        found = []
        for entry in value:
            items = tuple(Drawn(item["smiles"], item["caption"]) for item in entry["items"])
            found.append(MoleculeSet(entry["title"], entry["kind"], items))
        return tuple(found)

    def show(self, entries: Sequence[Entry[tuple[MoleculeSet, ...]]]) -> Content | None:
        """A gallery per set."""
        found = [(entry, one) for entry in entries for one in entry.value]
        if not found:
            return None
        galleries = tuple(_gallery(entry, one) for entry, one in found[:MAX_SETS])
        said = more(len(found) - len(galleries), "sets are in the records")
        return Content("Molecules", galleries=galleries, legend=LEGEND + said)


def _gallery(entry: Entry[Any], molecules: MoleculeSet) -> Gallery:
    shown = molecules.items[:MAX_MOLECULES]
    caption = more(len(molecules.items) - len(shown), "of this set are in the record").strip()
    return Gallery(
        number=entry.number,
        title=f"{entry.name} · {entry.task}: {molecules.title}",
        kind=molecules.kind,
        pictures=tuple(Picture(item.smiles, item.caption, draw_molecule(item.smiles)) for item in shown),
        texts="SMILES",
        caption=caption,
    )


PANEL = MoleculesPanel()
