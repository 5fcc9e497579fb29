"""Figures: charts as Vega-Lite specifications, galleries of small pictures, and the words under them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

GalleryKind = Literal["grid", "path"]
Spec = Mapping[str, Any]
"""A Vega-Lite specification: JSON that the page draws, and a notebook as well."""
MIME_TYPE = "application/vnd.vegalite.v6+json"


@dataclass(frozen=True)
class Words:
    """What a figure says, as a small table for those who cannot see it or want the numbers."""

    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Figure:
    """One figure: its title, its Vega-Lite specification, and the words under it."""

    title: str
    spec: Spec
    caption: str = ""
    words: Words | None = None

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        """What a notebook shows: the same chart as on the page."""
        return {MIME_TYPE: self.spec, "text/plain": self.title}


@dataclass(frozen=True)
class Picture:
    """A small picture and what stands under it; without an SVG its text is shown instead."""

    text: str
    caption: str
    svg: str | None


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """Small pictures of one row of the table (`number`): a set, or a path to be read in order."""

    number: int
    title: str
    kind: GalleryKind
    pictures: tuple[Picture, ...]
    texts: str
    """What the texts of the pictures are ("SMILES"): the page lists them, too."""
    caption: str = ""
