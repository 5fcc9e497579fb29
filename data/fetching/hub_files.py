"""Files of a hub repository at a pinned commit."""

import errno
import shutil
from pathlib import Path

from ..cache.folders import verify
from ..manifest import Source
from .errors import AGAIN, failed


def download_from_hub(source: Source, into: Path) -> None:
    """Download the pinned files and verify them. Raises `ChecksumError` and `DownloadError`."""
    from huggingface_hub import snapshot_download

    try:
        snapshot_download(
            source.repository,
            repo_type=source.repository_type,
            revision=source.revision,
            allow_patterns=[entry.name for entry in source.files],
            local_dir=into,
        )
    except Exception as error:  # the client raises its own, its transport's and the system's kinds
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise
        raise failed(source, [str(error)], "check the network, then run `sparsebench prepare` again") from error
    shutil.rmtree(into / ".cache", ignore_errors=True)
    for entry in source.files:
        verify(into, entry, AGAIN)
