"""`RESULTS.md` and its pictures: what committed result folders say, as a document that a repository shows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from ..figures.dot_plots import THEMES, draw_overview
from ..records.example_files import ExampleReader
from ..records.record import Record
from ..records.vouchers import Standing
from ..tables import formatting
from ..tables import table_formats as printing
from ..tables.claims import VERDICTS, Finding, Roles
from ..tables.claims.document import count_verdicts, counts, mark
from ..tables.comparison import contrasts
from ..tables.dataframe import newest
from ..tables.matrix import Matrix, matrices
from ..tables.suite_table import SuiteInfo, suite_table
from ..tables.summary import summaries
from .holding import all_hold_at, holds_at, made_by
from .overview import overview
from .provenance import commits_note, provenance

DOCUMENT = "RESULTS.md"
COLUMNS = {"wide": 2, "narrow": 1}
INTRODUCTION = """\
Written by `sparsebench report` from the committed records; only the parts called "Reading" are written by hand.
Every number leads to a record with its seed, commit, data checksums, library versions and machine.
"""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One result folder: what it holds, and what people read from it.

    `path` is the folder as seen from the document; `examples` reads per-example outcomes from it. `standing` is what
    running cells again has shown; None: nobody did. `unknown_commits` are named by records and not in the repository.
    `objection` says what the set-up of a study is objected to for, until it is made again; `roles` are those that the
    plan gives its rows.
    """

    path: str
    records: Sequence[Record]
    findings: Sequence[Finding] = ()
    standing: Standing | None = None
    unknown_commits: Collection[str] = ()
    reading: str = ""
    objection: str = ""
    roles: Roles | None = None
    examples: ExampleReader | None = None

    def matrices(self) -> list[Matrix]:
        """The table of each suite, of the newest record of each key."""
        return matrices(newest(self.records)[0], self.examples, self.roles)


def results_document(runs: Sequence[Run], infos: Mapping[str, SuiteInfo]) -> dict[str, str]:
    """File names to texts: the document, and the picture for wide and narrow, light and dark pages.

    Runs with findings are studies; of the others the document shows all tables, and the picture all suites.
    """
    benches = [run for run in runs if not run.findings]
    studies = [run for run in runs if run.findings]
    found = []
    for run in benches:
        found += run.matrices()
    plots = [(suite.title, suite.plots) for suite in overview(found, infos)]
    files = {}
    for shape, columns in COLUMNS.items():
        for name, theme in THEMES.items():
            files[picture(shape, name)] = draw_overview(plots, theme, columns)
    parts = [
        f"# Results\n\n{all_hold_at([run.standing for run in runs])}\n",
        INTRODUCTION,
        *_objections(runs),
        *_commits(runs),
        f"{PICTURE}\n",
    ]
    parts += [_bench(run, infos) for run in benches]
    if studies:
        parts += [CLAIMS, _sum(studies), *map(_study, studies)]
    files[DOCUMENT] = "\n".join(parts)
    return files


def _objections(runs: Sequence[Run]) -> Iterator[str]:
    """What the set-ups of all folders are objected to for, before anything else."""
    told = [f"- [{run.path}]({run.path}): {run.objection}" for run in runs if run.objection]
    if told:
        yield "**Studies whose set-up is objected to**, until they are made again:\n"
        yield "\n".join([*told, ""])


def _objection(run: Run) -> list[str]:
    if not run.objection:
        return []
    return [f"**{run.objection}**", ""]


def _commits(runs: Sequence[Run]) -> Iterator[str]:
    """What is not right with the commits behind all folders, before any result."""
    told = [(run.path, commits_note(run.records, run.unknown_commits)) for run in runs]
    lines = [f"- {path}: {note}" for path, note in told if note]
    if lines:
        yield "\n".join(["**Records whose code is in no commit that is here**:", "", *lines, ""])


def picture(shape: str, theme: str) -> str:
    """The file of one picture: "overview-wide-light.svg"."""
    return f"overview-{shape}-{theme}.svg"


CLAIMS = """## What papers claim

A study tests statements with paired comparisons over seeds, by the 95 % intervals of the differences, which hold
together for the comparisons of a statement. A statement holds, fails, is negligible (the effect lies within the
smallest one of interest, on both sides), undecided, or not testable here, where a check of the instrument fails. ✓: the
verdict stands when it is corrected over all claims of its study (Holm). The models here are small and the conditions
ours: each verdict is meant where it says, and no further. Statements of our own are counted apart.
"""


def _sum(studies: Sequence[Run]) -> str:
    """The counts of all studies together: what papers claim in a sentence alone."""
    findings = list(chain.from_iterable(run.findings for run in studies))
    published = [finding for finding in findings if finding.claim.published]
    own = [finding for finding in findings if not finding.claim.published]
    told = []
    if published:
        told.append(f"**Of {_many(published, 'claim')} of papers in {_many(studies, 'study')}, {counts(published)}.**")
    if own:
        told.append(f"Of {_many(own, 'statement')} of our own, {counts(own)}.")
    return "\n\n".join(told) + "\n"


def _many(found: Sequence[object], noun: str) -> str:
    if len(found) != 1:
        noun = f"{noun}s".replace("ys", "ies")
    return f"{len(found)} {noun}"


def _bench(run: Run, infos: Mapping[str, SuiteInfo]) -> str:
    lines = [f"## [{run.path}]({run.path})", "", *_objection(run), _origin(run), ""]
    for matrix in run.matrices():
        info = infos.get(matrix.suite)
        if info is not None:
            lines += _suite(matrix, info)
    return "\n".join([*lines, *_reading(run)])


PICTURE = f"""<picture>
  <source media="(prefers-color-scheme: dark)" srcset="{picture("wide", "dark")}">
  <img alt="Scores with 95 % intervals and active parameters" src="{picture("wide", "light")}">
</picture>"""


def _suite(matrix: Matrix, info: SuiteInfo) -> Iterator[str]:
    yield f"### {info.title}"
    yield ""
    yield info.description
    yield ""
    for summary in summaries(matrix, info, contrasts(matrix, info)):
        yield f"- **{summary.subject}**: {summary.text}"
    yield ""
    yield from printing.to_markdown(suite_table(matrix, info)).splitlines()[2:]
    yield ""


def _study(run: Run) -> str:
    lines = [f"### [{run.path}]({run.path}/claims.md)", "", *_objection(run), _origin(run), ""]
    lines += [count_verdicts(run.findings), ""]
    for verdict in VERDICTS:
        lines += _told([finding for finding in run.findings if finding.verdict == verdict], verdict)
    return "\n".join([*lines, *_reading(run)])


def _told(findings: Sequence[Finding], verdict: str) -> list[str]:
    """The statements of one verdict, each once, with the claims that test it and where that is meant to hold."""
    if not findings:
        return []
    places = dict.fromkeys(finding.claim.place for finding in findings if not finding.reason)
    shared = next(iter(places), "") if len(places) == 1 else ""
    claims: dict[str, list[str]] = {}
    for finding in findings:
        claims.setdefault(_statement(finding, shared), []).append(f"`{finding.claim.id}`{mark(finding)}")
    lines = [f"{', '.join(filter(None, (verdict.capitalize(), shared)))}:", ""]
    lines += [f"- {statement} {', '.join(ids)}" for statement, ids in claims.items()]
    return [*lines, ""]


def _statement(finding: Finding, shared: str) -> str:
    """What is claimed, with its place unless all share it, and why it is not testable."""
    claim = finding.claim
    statement = claim.statement
    if finding.reason:
        statement += f" ({finding.reason})"
    elif claim.place != shared:
        statement = f"{statement.removesuffix('.')}, {claim.place}."
    if not claim.published:
        statement += " (ours)"
    return statement


def _reading(run: Run) -> list[str]:
    return ["#### Reading", "", run.reading.strip(), ""] if run.reading else []


def _origin(run: Run) -> str:
    """How many records, from when, what made them, and where they hold."""
    found = provenance(run.records)
    machines = sorted({str(record.environment.get("processor", "unknown processor")) for record in run.records})
    first = found.started[:10]
    last = found.finished[:10]
    return (
        f"{len(run.records)} records of {first} to {last}, seeds {found.seeds}, "
        f"{formatting.duration(found.seconds)} inside cells, on {', '.join(machines)}; "
        f"{made_by(run.records)}; {holds_at(run.standing)}."
    )
