"""Models of the Hugging Face hub that a user names, `owner/name` or `owner/name@revision`: which commit that is here.

A revision is a commit, a tag or a branch; without one it is the branch `main`. Tags and branches move, so what counts
is the commit that lies in the hub's cache on this machine; a newer one is taken when that cache is renewed.
"""

import os
import re
from pathlib import Path

from .errors import DownloadError, OfflineError

COMMIT = re.compile(r"[0-9a-f]{40}")
FILES = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja")
"""What a model and its tokenizer need; other formats of the same weights are not fetched."""


def split(argument: str) -> tuple[str, str]:
    """The repository and the revision of `owner/name@revision`."""
    name, _, revision = argument.partition("@")
    return name, revision or "main"


def commit(argument: str) -> str | None:
    """The commit that `owner/name@revision` means on this machine; None if none of it lies in the hub's cache."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    name, revision = split(argument)
    if COMMIT.fullmatch(revision):
        return revision
    try:
        return Path(snapshot_download(name, revision=revision, local_files_only=True)).name
    except (LocalEntryNotFoundError, HFValidationError):
        return None


def fetch(argument: str) -> str:
    """Bring the files of `owner/name@revision` into the hub's cache; returns the commit.

    Raises `OfflineError` and `DownloadError`.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    if os.environ.get("SPARSEBENCH_OFFLINE", "") not in ("", "0"):
        raise OfflineError(f"{argument} is not in the hub's cache and SPARSEBENCH_OFFLINE is set")
    name, revision = split(argument)
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(FILES))).name
    except (OSError, HfHubHTTPError, HFValidationError) as error:
        raise DownloadError(f"{argument} cannot be fetched from the hub: {' '.join(str(error).split())}") from error
