"""Commits that records name and that the repository of this source tree does not have."""

import subprocess
from collections.abc import Iterable

from sparsebench.reports.records.record import Record

from ..discovery.closure import HOME

GIT_SECONDS = 20


def unknown_commits(records: Iterable[Record]) -> set[str]:
    """The commits that records name and that are not here; none where nobody can say.

    That is so without a repository (an installed wheel, a folder that was handed on), without git, and in a clone that
    holds a part of the history only.
    """
    commits = sorted({record.commit for record in records if record.commit is not None})
    if not commits or not (HOME / ".git").exists() or _git("rev-parse", "--is-shallow-repository").strip() != "false":
        return set()
    told = _git("cat-file", "--batch-check", text="".join(f"{commit}^{{commit}}\n" for commit in commits)).splitlines()
    if len(told) != len(commits):
        return set()
    return {commit for commit, line in zip(commits, told, strict=True) if line.endswith(" missing")}


def _git(*arguments: str, text: str = "") -> str:
    """Output of git in the source tree; empty where it fails."""
    command = ["git", "-C", str(HOME), *arguments]
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=GIT_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
