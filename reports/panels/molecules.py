"""Molecules to be drawn on the page, as a record keeps them in `details["molecules"]`, and their drawing.

The JSON: `[{"title": str, "kind": "grid" | "path", "items": [{"smiles": str, "caption": str}, ...]}, ...]`.
A grid is a set (what a model generated), a path is a row in order (latent interpolation).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args
from xml.etree import ElementTree

from ..figures.svg import opening
from ..record import Record, RecordError

KEY = "molecules"
SIZE = (150, 110)
MAX_ATOMS = 120
"""A larger molecule is shown as text: in so small a picture nobody could read it."""
Kind = Literal["grid", "path"]
# RDKit paints with these, the style sheet has the colour of each class on light and on dark pages.
_CLASSES = {"#0000FF": "atom-n", "#FF0000": "atom-o", "#FFFF00": "atom-s", "#00FF00": "atom-x", "#FF00FF": "atom-p"}
_ELEMENTS = {7: "#0000FF", 8: "#FF0000", 16: "#FFFF00", 15: "#FF00FF"} | dict.fromkeys((9, 17, 35, 53), "#00FF00")


@dataclass(frozen=True)
class Drawn:
    """One molecule, and what stands under it."""

    smiles: str
    caption: str = ""


@dataclass(frozen=True)
class Panel:
    """Molecules that belong together.

    Raises:
        RecordError: a kind that is none, no molecules, something that is no text.
    """

    title: str
    kind: Kind
    items: tuple[Drawn, ...]

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise RecordError(f"panel {self.title!r}: kind {self.kind!r} is none of {', '.join(get_args(Kind))}")
        if not self.items:
            raise RecordError(f"panel {self.title!r}: no molecules")
        texts = [self.title, *(text for item in self.items for text in (item.smiles, item.caption))]
        for text in texts:
            if not isinstance(text, str):
                raise RecordError(f"panel {self.title!r}: {text!r} is no text")


class _Look(NamedTuple):
    """How a path is painted."""

    fill: str
    stroke: str
    width: str
    dashes: str


def to_details(panels: Sequence[Panel]) -> dict[str, Any]:
    """As JSON values; nothing for no panels."""
    found = [
        {
            "title": panel.title,
            "kind": panel.kind,
            "items": [{"smiles": item.smiles, "caption": item.caption} for item in panel.items],
        }
        for panel in panels
    ]
    return {KEY: found} if found else {}


def panels(record: Record) -> tuple[Panel, ...]:
    """The panels that a record holds, none if it holds none.

    Raises:
        RecordError: the entry has another form.
    """
    found = record.details.get(KEY, [])
    try:
        return tuple(
            Panel(entry["title"], entry["kind"], tuple(Drawn(i["smiles"], i["caption"]) for i in entry["items"]))
            for entry in found
        )
    except (KeyError, TypeError, RecordError) as error:
        raise RecordError(f"record {record.id}: details[{KEY!r}] is not of its form: {error!r}") from error


def draw(smiles: str) -> str | None:
    """A molecule as a small SVG in the colours of the page; None for what cannot be read or is too large."""
    try:
        from rdkit import Chem, rdBase
        from rdkit.Chem.Draw.rdMolDraw2D import PrepareAndDrawMolecule
    except ImportError:
        return None
    with rdBase.BlockLogs():
        try:
            molecule = Chem.MolFromSmiles(smiles)
            if molecule is None or not 0 < molecule.GetNumAtoms() <= MAX_ATOMS:
                return None
            pen = _pen()
            PrepareAndDrawMolecule(pen, molecule)
        except (ValueError, RuntimeError):
            return None
        pen.FinishDrawing()
    return _compact(pen.GetDrawingText(), smiles)


def _pen() -> Any:
    """No background, bonds of 20 points at most, no label below 9, black but for the elements that have a colour."""
    from rdkit.Chem.Draw.rdMolDraw2D import MolDraw2DSVG

    pen = MolDraw2DSVG(*SIZE)
    options = pen.drawOptions()
    options.clearBackground = False
    options.fixedBondLength = 20
    options.bondLineWidth = 1.3
    options.minFontSize = 9
    options.padding = 0.04
    options.setAtomPalette({-1: (0.0, 0.0, 0.0)} | {atom: _rgb(colour) for atom, colour in _ELEMENTS.items()})
    return pen


def _rgb(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue


def _compact(svg: str, title: str) -> str:
    """One path per colour and width, nothing else of what RDKit writes: a tenth of the size, and no ids."""
    strokes: dict[_Look, list[str]] = defaultdict(list)
    for element in ElementTree.fromstring(svg.partition("?>")[2]).iter("{http://www.w3.org/2000/svg}path"):
        places = re.sub(r"\.0\b", "", element.get("d", "").strip())
        strokes[_look(element)].append(re.sub(r"\s*([A-Za-z,])\s*", r"\1", places))
    paths = [_path(look, "".join(places)) for look, places in strokes.items()]
    return f"{opening(f'0 0 {SIZE[0]} {SIZE[1]}', title)}{''.join(paths)}</svg>"


def _look(path: ElementTree.Element) -> _Look:
    style = dict(part.split(":", 1) for part in path.get("style", "").split(";") if part)
    fill, width = style.get("fill", path.get("fill", "none")), style.get("stroke-width", "").removesuffix("px")
    return _Look(fill, style.get("stroke", "none"), width, style.get("stroke-dasharray", ""))


def _path(look: _Look, places: str) -> str:
    found = _CLASSES.get((look.stroke if look.fill == "none" else look.fill).upper())
    parts = [f'class="{found}"'] if found else []
    parts += [f'fill="{"none" if look.fill == "none" else "currentColor"}"']
    if look.stroke != "none":
        parts += [f'stroke="currentColor" stroke-width="{look.width}"']
    parts += [f'stroke-dasharray="{look.dashes}"'] if look.dashes else []
    return f'<path {" ".join(parts)} d="{places}"/>'
