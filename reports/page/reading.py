"""What result folders hold, as the page and `RESULTS.md` need it: one folder, or several whose rows stand together."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..records.example_files import ExampleReader
from ..records.index.slim import Whole, already_whole
from ..records.record import Record
from ..records.store import Problem
from ..records.vouchers import Standing
from ..tables.claims import Finding, Roles

Where = Callable[[Record], str]
"""From a record to the folder that holds it, as a command names it; "." where nobody does."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The records of folders, slim or whole, and what lies beside them.

    `problems` are files that could not be read. `findings`: what a study found of its claims. `standings`: what running
    cells again has shown, for each folder (None: nobody did). `unknown_commits` are named by records and not in the
    repository. `objection` says what the set-up of a study is objected to for, `words` what people read from the
    folders, in Markdown. `roles` are those that the plan gives its rows, by suite and label. `examples` reads outcomes
    by example, `whole` the whole record of a slim one while the folders are open; `speed` is the first speed file.
    """

    records: Sequence[Record]
    folders: tuple[Path, ...] = ()
    problems: Sequence[Problem] = ()
    findings: Sequence[Finding] = ()
    standings: Sequence[Standing | None] = (None,)
    unknown_commits: Collection[str] = ()
    objection: str = ""
    words: str = ""
    roles: Roles | None = None
    examples: ExampleReader = field(default_factory=lambda: ExampleReader(lambda id: None))
    whole: Whole = already_whole
    where: Where = field(default=lambda record: ".")
    speed: Path | None = None

    @property
    def title(self) -> str:
        """The names of the folders."""
        return " and ".join(folder.resolve().name for folder in self.folders) or "Report"
