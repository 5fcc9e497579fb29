"""Models of the Hugging Face hub that a user names, `owner/name` or `owner/name@revision`: which commit that is here.

A revision is a commit, a tag or a branch; without one it is the branch `main`. Tags and branches move, so what counts
is the commit that lies in the hub's cache on this machine; a newer one is taken when that cache is renewed.
"""

import functools
import hashlib
import re
from pathlib import Path

from .cache.digests import digest_once
from .errors import ChecksumError, DownloadError, OfflineError, reason_of
from .offline import offline

COMMIT = re.compile(r"[0-9a-f]{40}")
REMEDY = "mend it with `sparsebench prepare` and the profile that names it"
WEIGHTS = "*.safetensors"
FILES = ("*.json", WEIGHTS, "*.model", "*.txt", "*.jinja")
"""What a model and its tokenizer need; other formats of the same weights are not fetched."""


def split(argument: str) -> tuple[str, str]:
    """The repository and the revision of `owner/name@revision`."""
    name, _, revision = argument.partition("@")
    return name, revision or "main"


def commit(argument: str) -> str | None:
    """The commit that `owner/name@revision` means on this machine; None if it is not whole in the hub's cache."""
    _, revision = split(argument)
    if COMMIT.fullmatch(revision):
        return revision
    folder = folder_here(argument)
    return folder.name if folder is not None else None


def folder_here(argument: str) -> Path | None:
    """The folder of `owner/name@revision` in the hub's cache; None if it is not on this machine, or not whole.

    Where the cache has the hub's listing of the commit, all `FILES` of it must be there; weights must be in any case:
    other programs keep a tokenizer alone, without a listing.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    name, revision = split(argument)
    try:
        folder = snapshot_download(name, revision=revision, allow_patterns=list(FILES), local_files_only=True)
    except (LocalEntryNotFoundError, HFValidationError):
        return None
    return Path(folder) if _has_weights(Path(folder)) else None


def _has_weights(folder: Path) -> bool:
    return any(folder.glob(WEIGHTS))


def files(argument: str) -> dict[str, Path]:
    """The files of a model in the hub's cache, by their names in the repository.

    Args:
        argument: `owner/name@revision`.

    Raises:
        OfflineError: it is not there.
    """
    folder = folder_here(argument)
    if folder is None:
        raise OfflineError(f"{argument} is not in the hub's cache; {REMEDY}")
    return {file.relative_to(folder).as_posix(): file for file in sorted(folder.rglob("*")) if not file.is_dir()}


def verified(file: Path, model: str) -> str:
    """The sha256 of a file in the hub's cache.

    The cache names content by what the hub calls it: the sha256 of large files, git's SHA-1 of small ones. Where files
    are copies and no links to such names (a disk without links), there is nothing to compare with.

    Args:
        file: the file.
        model: its model, for an error.

    Returns:
        The digest.

    Raises:
        ChecksumError: it is gone, or is not what the hub gave.
    """
    content = file.resolve()
    if not content.is_file():
        raise ChecksumError(f"{model}: {file.name} is gone from the hub's cache; {REMEDY}")
    sha256 = digest_once(content)
    expected = content.name
    found = expected
    if re.fullmatch(r"[0-9a-f]{64}", expected):
        found = sha256
    elif COMMIT.fullmatch(expected):
        found = _git_sha1(content, sha256)
    if found != expected:
        raise ChecksumError(f"{model}: {file.name} has changed in the hub's cache; {REMEDY}")
    return sha256


def mend(argument: str) -> bool:
    """Fetch a model again if files of it in the hub's cache are broken.

    Args:
        argument: `owner/name@revision`.

    Returns:
        Whether there were any.

    Raises:
        OfflineError: it would have to be fetched, and `SPARSEBENCH_OFFLINE` is set.
        DownloadError: it cannot be fetched.
    """
    broken = []
    for file in files(argument).values():
        try:
            verified(file, argument)
        except ChecksumError:
            broken.append(file)
    for file in broken:
        file.resolve().unlink(missing_ok=True)
        file.unlink()
    if broken:
        fetch(argument)
    return bool(broken)


@functools.cache
def _git_sha1(file: Path, sha256: str) -> str:
    """What git calls a file; ``sha256`` says which content was asked about."""
    content = file.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def fetch(argument: str) -> str:
    """Bring the files of a model into the hub's cache.

    Args:
        argument: `owner/name@revision`.

    Returns:
        The commit.

    Raises:
        OfflineError: it is not there, and `SPARSEBENCH_OFFLINE` is set.
        DownloadError: it cannot be fetched, or has no weights in safetensors.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    if offline():
        raise OfflineError(f"{argument} is not in the hub's cache and SPARSEBENCH_OFFLINE is set")
    name, revision = split(argument)
    try:
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=list(FILES)))
    except (OSError, HfHubHTTPError, HFValidationError) as error:
        raise DownloadError(f"{argument} cannot be fetched from the hub: {reason_of(error)}") from error
    if not _has_weights(folder):
        raise DownloadError(f"{argument} came from the hub without weights in safetensors, the only ones read here")
    return folder.name
