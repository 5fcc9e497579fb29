"""What an export writes: all of it or nothing, never over what is there; and what its format could not say."""

import contextlib
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..records.files import sync_folder, temporary_beside
from ..records.store import StoreError, explain_os_error


@dataclass
class Export:
    """Files of one export.

    Attributes:
        path: the file or folder that it made.
        files: what it wrote, by kind: "results" to 12.
        left_out: what the format cannot say, with how often.
        note: what its reader must know or do; empty if nothing.
    """

    path: Path
    files: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    note: str = ""

    def __str__(self) -> str:
        """A line on what was written, then the note and what was left out, if anything was."""
        lines = [f"{self.path}: {_counts(self.files)}", *filter(None, [self.note])]
        if self.left_out:
            lines.append(f"left out: {_counts(self.left_out)}")
        return "\n".join(lines)


def _counts(counts: Counter[str]) -> str:
    return "; ".join(f"{number:,} {what}" for what, number in counts.items())


@contextlib.contextmanager
def staged(out: Path) -> Iterator[Path]:
    """A path beside `out`, where a file or folder is to be made; in the end it is renamed to `out`.

    Args:
        out: what the export makes; the folders above it are made if they are missing.

    Raises:
        StoreError: `out` is there already, or it cannot be written. Nothing of it is left.
    """
    if out.exists() or out.is_symlink():
        raise StoreError(f"{out} is there already: remove it, or name another place")
    stage = temporary_beside(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        yield stage
        stage.rename(out)
        sync_folder(out.parent)
    except OSError as error:
        raise StoreError(explain_os_error(out, error)) from error
    finally:
        if stage.is_dir():
            shutil.rmtree(stage, ignore_errors=True)
        else:
            with contextlib.suppress(NotADirectoryError):  # the error above says so
                stage.unlink(missing_ok=True)
