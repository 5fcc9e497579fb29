"""Download one pinned archive from where the user's package client looks, as a plain file.

Nothing of a package is built, run or imported, and no pip is needed: `unearth`, the finder of PDM, reads indexes and
folders of archives. The archive is known by its file name and its sha256, whatever place gives it.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import ChecksumError, DownloadError
from ..manifest import FileEntry, Source
from .client_settings import ClientSettings, client_settings
from .errors import AGAIN, failed

if TYPE_CHECKING:
    import ssl

    from unearth import Link, PackageFinder

PAUSES = (0.5, 1.0)
"""Seconds before a connection that failed is tried again."""
T = TypeVar("T")
ADVICE = (
    "check the network and the index settings of pip (PIP_INDEX_URL, pip.conf) or uv (UV_DEFAULT_INDEX, uv.toml), "
    "then run `sparsebench prepare` again"
)


def download_archive(source: Source, entry: FileEntry, folder: Path) -> Path:
    """The pinned archive: a file of a local folder of archives, or downloaded into ``folder``.

    Places are asked in this order until one has it: folders and pages of archives (find-links), indexes, extra indexes.

    Raises:
        ChecksumError: a place has a file of this name, and none has the one with the pinned sha256.
        DownloadError: no place has it, or none can be reached.
    """
    settings = client_settings()
    problems: list[str] = []
    others: list[str] = []
    with _client(settings) as client:
        for finder in _finders(settings, client):
            try:
                for link in _links(finder, source, entry, problems):
                    archive = _download(finder, link, entry, folder, others)
                    if archive is not None:
                        return archive
            except _errors() as error:
                problems.append(f"{_name(finder)}: {error or type(error).__name__}")
    if others:
        raise ChecksumError(
            f"{entry.name}: wrong checksum: expected sha256 {entry.sha256}, found {', '.join(others)}; {AGAIN}"
        )
    raise failed(source, problems or [f"no place has the file {entry.name}"], ADVICE)


@contextmanager
def _client(settings: ClientSettings) -> Iterator[Any]:
    """A client with the user's certificates and proxies; it never asks for a password."""
    from unearth.auth import MultiDomainBasicAuth
    from unearth.fetchers import PyPIClient

    client = PyPIClient(
        trusted_hosts=settings.trusted_hosts,
        verify=_certificates(settings),
        proxy=settings.proxy,
        timeout=settings.timeout,
        follow_redirects=True,
    )
    client.auth = MultiDomainBasicAuth(
        prompting=False, index_urls=[*settings.indexes, *settings.extra_indexes]
    )  # passwords are in the addresses, in .netrc or in the user's key ring
    with client:
        yield client


def _certificates(settings: ClientSettings) -> "ssl.SSLContext":
    """Those that the user's settings name, else the system's, else those that come with Python's clients."""
    import ssl

    import certifi

    try:
        context = ssl.create_default_context(cafile=settings.certificates)
        if settings.client_certificate:
            context.load_cert_chain(settings.client_certificate)
    except OSError as error:
        named = settings.client_certificate or settings.certificates
        raise DownloadError(f"the certificates that your settings name ({named}) cannot be read: {error}") from error
    if not settings.certificates and not context.cert_store_stats()["x509_ca"]:
        context.load_verify_locations(certifi.where())
    return context


def _finders(settings: ClientSettings, client: Any) -> "Iterator[PackageFinder]":
    """One finder for each place, so that one that cannot be reached leaves the others."""
    from unearth import PackageFinder

    for place in settings.find_links:
        yield PackageFinder(client, find_links=[_as_place(place)], ignore_compatibility=True)
    if settings.no_index:
        return
    if not settings.indexes:
        yield PackageFinder(client, ignore_compatibility=True)  # it knows the default index
    for address in (*settings.indexes, *settings.extra_indexes):
        yield PackageFinder(client, index_urls=[address], ignore_compatibility=True)


def _as_place(place: str) -> str:
    if "://" in place:
        return place
    return str(Path(place).expanduser().absolute())


def _links(finder: "PackageFinder", source: Source, entry: FileEntry, problems: list[str]) -> "list[Link]":
    """The files of the pinned name that a place lists; what it says in the log becomes part of the error."""
    with _warnings_of_unearth() as said:
        try:
            packages = _retried(lambda: list(finder.find_all_packages(source.package, allow_yanked=True)))
        finally:
            problems += dict.fromkeys(said)
    return [package.link for package in packages if package.link.filename == entry.name]


def _download(finder: "PackageFinder", link: "Link", entry: FileEntry, folder: Path, others: list[str]) -> Path | None:
    """The archive, if it is the pinned one; else None, with its digest in ``others``."""
    from unearth.errors import HashMismatchError

    declared = (link.hash_option or {}).get("sha256", [entry.sha256])
    if entry.sha256 not in declared:
        others += declared
        return None

    def watch(link: "Link", completed: int, total: int | None) -> None:
        if completed > entry.size:
            raise ChecksumError(f"{entry.name}: more than the {entry.size} bytes that are pinned come; {AGAIN}")

    try:
        return _retried(lambda: finder.download(link, folder, {"sha256": [entry.sha256]}, watch))
    except HashMismatchError as error:
        others.append(error.actual["sha256"])
        return None


@contextmanager
def _warnings_of_unearth() -> Iterator[list[str]]:
    """It logs what it skips (a page that is not there, an address without https), and goes on."""
    said: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    handler = Collect(logging.WARNING)
    logger = logging.getLogger("unearth")
    logger.addHandler(handler)
    try:
        yield said
    finally:
        logger.removeHandler(handler)


def _retried(ask: Callable[[], T]) -> T:
    """What `ask` gives; a connection that fails is tried twice again."""
    import httpx2

    for pause in PAUSES:
        try:
            return ask()
        except httpx2.TransportError:
            time.sleep(pause)
    return ask()


def _errors() -> tuple[type[Exception], ...]:
    """What a place that cannot be used raises: the network, its pages, a folder that is not there."""
    import httpx2
    from unearth.errors import UnpackError

    return httpx2.HTTPError, httpx2.InvalidURL, UnpackError, ValueError, FileNotFoundError, NotADirectoryError


def _name(finder: "PackageFinder") -> str:
    """The address of a place without a password in it."""
    from unearth import Link

    address = finder.sources[0]["url"]
    return Link(address).redacted if "://" in address else address
