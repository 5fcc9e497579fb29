"""What can go wrong with a source. Every message is one line and says what to do."""

import difflib
from collections.abc import Iterable
from pathlib import Path

MOST_LISTED = 20
"""Names that an error message lists."""


class DataError(RuntimeError):
    """Base of all errors of this package."""


class ManifestError(DataError, ValueError):
    """A manifest file is malformed: unknown key, missing key or a value of the wrong kind."""


class UnknownSource(DataError, ValueError):  # noqa: N818
    """No manifest, text domain or evaluation set has this name."""


class ChecksumError(DataError):
    """A file is not the one that the manifest pins."""


class DownloadError(DataError):
    """A source could not be fetched or stored: no network, no space, no permission, no such tool."""


class TextFileError(DataError, ValueError):
    """A text file of a user, or the folder of it, that cannot be read as text by domain."""


class DryStreamError(DataError):
    """A domain of a text stream is used up before enough tokens were read."""


class MixtureError(DataError, ValueError):
    """A mixture of data sets that cannot be drawn from or moved: wrong names, sizes, weights, losses or loads."""


class OfflineError(DataError):
    """A source is not in the cache and ``SPARSEBENCH_OFFLINE=1`` forbids fetching it."""


class LocalFolderError(DataError):
    """A folder that the user must supply is not given, or a file in it is missing or malformed."""


class TableError(DataError, ValueError):
    """A table or a class folder of the user's that cannot be learnt from: its columns, labels or parts."""


class MoleculeError(DataError, ValueError):
    """A SMILES string that RDKit cannot read, named by its row."""


class WeightsError(DataError, ValueError):
    """A file of weights lacks a tensor, holds one too many or twice, or one of another shape or not finite."""


def reason_of(error: BaseException) -> str:
    """What an error of others says, in one line; the name of its class where it says nothing.

    Args:
        error: any; libraries break their messages over lines.
    """
    return " ".join(str(error).split()) or type(error).__name__


def near(name: str, known: Iterable[str]) -> str:
    """What ends the message about an unknown name: "; did you mean a, b?".

    Args:
        name: the name that nobody knows.
        known: those that there are.

    Returns:
        The nearest; where none is near, all of them, or the nearest of very many.
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if close:
        return f"; did you mean {', '.join(close)}?"
    if len(names) <= MOST_LISTED:
        return f"; known: {', '.join(names)}"
    nearest = difflib.get_close_matches(name, names, n=3, cutoff=0.0)
    return f"; the nearest of {len(names)} known names: {', '.join(nearest)}"


def near_path(path: Path) -> str:
    """What ends the message about a path that is not there: one with almost that name, if there is any.

    Args:
        path: the path.
    """
    there = [one.name for one in path.parent.iterdir() if one != path] if path.parent.is_dir() else []
    found = difflib.get_close_matches(path.name, there, n=1)
    return f"; did you mean {path.with_name(found[0])}?" if found else ""
