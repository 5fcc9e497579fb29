"""The conformance battery of data sources: what the manifest says, two readings, and what happens without network."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath

from sparsebench.data.cache import sha256_of
from sparsebench.data.errors import DataError, LocalFolderError, OfflineError
from sparsebench.data.sources import Source, ensure, folder_of, path, source

from ..discovery.closure import files_below
from .methods import NonconformingError, require

NOT_SAID = ("", "?", "unknown", "none", "todo")


def manifest(name: str) -> str:
    """Licence, citation and version are said, and what is fetched has an address and a checksum; paths stay inside."""
    about = source(name)
    for field in ("licence", "citation", "version"):
        require(getattr(about, field).strip().lower() not in NOT_SAID, f"{field} says nothing")
    of_user = about.kind == "local" and bool(about.environment)
    require(about.pinned or of_user, "no checksum is pinned: add `files`")
    sealed = about.registry != "pypi" or bool(about.contents)
    require(sealed, "an archive of a package index has to pin what is in it, too: add `contents`")
    require(all(file.size > 0 for file in about.files), "a pinned file has no size")
    for key, inside in about.paths.items():
        place = PurePosixPath(inside)
        require(not place.is_absolute() and ".." not in place.parts, f"the path {key!r} leads out of the source")
    unknown = sorted(set(about.licences) - set(about.splits))
    require(not unknown, f"a licence of parts that have no number of examples: {', '.join(unknown)}")
    return f"{about.licence}; {_address(about)}"


def _address(about: Source) -> str:
    """Where it comes from."""
    if about.kind == "package":
        return f"{about.registry} {about.package}"
    if about.kind == "hub":
        return f"{about.repository}@{about.revision[:7]}"
    if about.kind == "procedural":
        return "drawn by our own code"
    return f"Python package {about.installed}" if about.installed else f"a folder of yours, {about.environment}"


def reading(name: str) -> str:
    """Two readings of all that it names give the same bytes; so do the rows that are read from them."""
    about = source(name)
    if about.kind == "procedural":
        return "has no files: its tasks draw it"
    try:
        first = _sums(about)
    except LocalFolderError as error:
        if not about.environment or about.environment in os.environ:
            raise
        return f"not read: {error}"
    require(bool(first), "it holds no file")
    require(first == _sums(about), "two readings differ")
    return f"{len(first)} files"


def _sums(about: Source) -> dict[str, str]:
    """The sum of each file that can be read of it by a name, or of all that it holds."""
    places = [path(about.name, key) for key in about.paths] or [ensure(about.name)]
    found: dict[str, str] = {}
    for place in places:
        for file in files_below(place) if place.is_dir() else [place]:
            found[str(file)] = sha256_of(file)
    return found


def offline(name: str) -> str:
    """Without network it is read from the cache; where that is empty too, one line says which source is missing."""
    about = source(name)
    if about.kind not in ("package", "hub"):
        return "needs no network"
    with _environment(SPARSEBENCH_OFFLINE="1"):
        require(ensure(name) == folder_of(about), "without network it lies somewhere else")
        with tempfile.TemporaryDirectory() as empty, _environment(SPARSEBENCH_CACHE=empty):
            said = _refusal(name)
    require(repr(name) in said and "\n" not in said, f"without network and cache it says {said!r}")
    return "from the cache alone; refused without it"


def _refusal(name: str) -> str:
    try:
        ensure(name)
    except OfflineError as error:
        return str(error)
    except DataError as error:
        raise NonconformingError(f"without network it fails otherwise: {error}") from error
    raise NonconformingError("it was fetched although SPARSEBENCH_OFFLINE is set")


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


BATTERY: tuple[Callable[[str], str], ...] = (manifest, reading, offline)
