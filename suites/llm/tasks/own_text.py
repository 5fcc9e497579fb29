"""Continual pre-training on your own text, a folder for each domain; bits per byte of each on other documents"""

from ..training.own_text import OwnTextTask

CHECKS_DATA = True


class OwnText(OwnTextTask):
    """See `sparsebench.data.text.own_text` for the folder and its parts."""

    version = "2"  # windows that are scored are of all files, not of the first one
    group = "own text"
    sources = ("own-text",)
