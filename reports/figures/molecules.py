"""A molecule as a small SVG in the colours of the page."""

from __future__ import annotations

import re
from collections import defaultdict
from html import escape
from typing import Any
from xml.etree import ElementTree

SIZE = (150, 110)
MAX_ATOMS = 120
"""A larger molecule is shown as text: in so small a picture nobody could read it."""
# RDKit paints with these, the style sheet has the colour of each class on light and on dark pages.
_CLASSES = {"#0000FF": "atom-n", "#FF0000": "atom-o", "#FFFF00": "atom-s", "#00FF00": "atom-x", "#FF00FF": "atom-p"}
_ELEMENTS = {7: "#0000FF", 8: "#FF0000", 16: "#FFFF00", 15: "#FF00FF"} | dict.fromkeys((9, 17, 35, 53), "#00FF00")


def draw_molecule(smiles: str) -> str | None:
    """A molecule as a small SVG; None for what cannot be read or is too large."""
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
    palette = {atom: tuple(part / 255 for part in bytes.fromhex(colour[1:])) for atom, colour in _ELEMENTS.items()}
    options.setAtomPalette({-1: (0.0, 0.0, 0.0)} | palette)
    return pen


def _compact(svg: str, title: str) -> str:
    """One path per colour and width, nothing else of what RDKit writes: a tenth of the size, and no ids."""
    strokes: dict[str, list[str]] = defaultdict(list)
    drawing = ElementTree.fromstring(svg.partition("?>")[2])
    for element in drawing.iter("{http://www.w3.org/2000/svg}path"):
        places = re.sub(r"\.0\b", "", element.get("d", "").strip())
        places = re.sub(r"\s*([A-Za-z,])\s*", r"\1", places)
        strokes[_look(element)].append(places)
    paths = [f'<path {look} d="{"".join(places)}"/>' for look, places in strokes.items()]
    width, height = SIZE
    opening = f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">'
    return f"{opening}{''.join(paths)}</svg>"


def _look(path: ElementTree.Element) -> str:
    """How a path is painted, in the text colour of the page or in that of its element's class, as attributes."""
    parts = path.get("style", "").split(";")
    style = dict(part.split(":", 1) for part in parts if part)
    fill = style.get("fill", path.get("fill", "none"))
    stroke = style.get("stroke", "none")
    filled = fill != "none"
    colour = (fill if filled else stroke).upper()
    attributes: dict[str, str] = {}
    if colour in _CLASSES:
        attributes["class"] = _CLASSES[colour]
    attributes["fill"] = "currentColor" if filled else "none"
    if stroke != "none":
        attributes["stroke"] = "currentColor"
        attributes["stroke-width"] = style.get("stroke-width", "").removesuffix("px")
    if style.get("stroke-dasharray"):
        attributes["stroke-dasharray"] = style["stroke-dasharray"]
    return " ".join(f'{name}="{value}"' for name, value in attributes.items())
