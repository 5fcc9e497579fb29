"""What an export writes: all of it or nothing, never over what is there; what its format could not say; its names."""

import contextlib
import hashlib
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..records.files import sync_folder, temporary_beside
from ..records.store import StoreError, explain_os_error

LONGEST = 60
_OTHER = re.compile(r"[^A-Za-z0-9._]+")


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


def file_name(text: str) -> str:
    """A text in letters, digits, ".", "_" and "-"; one that had to change ends in eight digits of its digest.

    So different texts have different names, on every file system and as names of repositories on the hub.

    Args:
        text: any, "MoE shared 50 % on vit_tiny_s" for instance.

    Returns:
        "MoE-shared-50-on-vit_tiny_s-" and the digits.
    """
    plain = _OTHER.sub("-", text).strip("-.")[:LONGEST].rstrip("-.")
    plain = re.sub(r"\.{2,}", ".", plain)
    if plain and plain == text.lower():
        return plain
    return f"{plain}-{hashlib.sha256(text.encode()).hexdigest()[:8]}".lstrip("-")
