"""Figures as SVG. The page holds them as single figures, or as galleries of small pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

GalleryKind = Literal["grid", "path"]


@dataclass(frozen=True)
class Words:
    """What a figure says, as a small table for those who cannot see it or want the numbers."""

    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Figure:
    """One figure: its title, SVG text, and the words under it."""

    title: str
    svg: str
    caption: str = ""
    words: Words | None = None


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
