"""What git says: the commit, since when its changes count, and which files they are.

The base of a branch is where it left `origin/main`. On main itself there is no such commit: there, what was done in the
day before the newest commit counts, but nothing from before the newest tag. A clone without such a commit (a shallow
one) has no base, and every file counts as changed.
"""

import hashlib
import subprocess
from pathlib import Path

DAY = 24 * 60 * 60


def git(root: Path, *arguments: str) -> str | None:
    """The answer of git; None where there is no git, no repository, or no answer."""
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def commit(root: Path) -> str:
    """The hash of HEAD; of all Python files, where there is no repository."""
    head = git(root, "rev-parse", "HEAD")
    if head:
        return head
    digest = hashlib.sha256()
    for path in sorted(root.glob("[!.]*/**/*.py")):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def base(root: Path) -> str | None:
    """The commit since which changes count."""
    head = git(root, "rev-parse", "HEAD")
    if not head:
        return None
    fork = git(root, "merge-base", "HEAD", "origin/main")
    if fork and fork != head:
        return fork
    date = int(git(root, "show", "-s", "--format=%ct", "HEAD") or 0)
    before = git(root, "rev-list", "-1", "--first-parent", f"--before={date - DAY}", "HEAD")
    tag = git(root, "describe", "--tags", "--abbrev=0", "HEAD^")
    tagged = git(root, "rev-parse", f"{tag}^{{commit}}") if tag else None
    return _newer(root, before, tagged)


def changed_since(root: Path, start: str | None) -> list[str]:
    """Files that differ from a commit, those that git does not know yet included; all files without a commit."""
    if start is None:
        return [path.relative_to(root).as_posix() for path in sorted(root.glob("[!.]*/**/*")) if path.is_file()]
    differ = git(root, "diff", "--name-only", "--no-renames", start) or ""
    new = git(root, "ls-files", "--others", "--exclude-standard") or ""
    return sorted({*differ.splitlines(), *new.splitlines()})


def _newer(root: Path, one: str | None, other: str | None) -> str | None:
    """Of two commits on one line the later; the one that there is, of one."""
    if one and other and git(root, "merge-base", "--is-ancestor", one, other) is not None:
        return other
    return one or other
