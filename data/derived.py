"""Folders in the cache that are made once from sources, sealed, and verified at each use."""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

from .cache.folders import build_once, cache_root
from .cache.seal import check
from .sources import fingerprint, remedy


def derive(name: str, form: str, fill: Callable[[Path], None]) -> Path:
    """The folder of what is derived from a source, made if it is not there, verified at each use.

    Args:
        name: of the source.
        form: what is made; it changes when the way in which it is made does.
        fill: writes it into an empty folder.

    Returns:
        The folder.

    Raises:
        ChecksumError: a folder that was changed.
        DownloadError: the cache cannot be written.
        Exception: what `fill` raises.
    """
    sha256 = fingerprint(name)
    folder = cache_root() / "derived" / f"{name}-{sha256[:12]}-{form}"
    build_once(folder, {"derived_from": name, "sha256": sha256, "form": form}, fill)
    return check(folder, "", f"derived/{name}", remedy(name))


def made_from(code: Iterable[Path], sources: Iterable[str]) -> str:
    """Eight hex digits for a form: they change with the content of the code files and with any of the sources.

    Args:
        code: the files of the code that makes it.
        sources: names of what it is made from.

    Returns:
        The digits.
    """
    digest = hashlib.sha256()
    for file in sorted(code):
        digest.update(file.read_bytes())
    for name in sorted(sources):
        digest.update(fingerprint(name).encode())
    return digest.hexdigest()[:8]
