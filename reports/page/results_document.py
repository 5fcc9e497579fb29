"""`RESULTS.md` and its pictures: what committed result folders found, as a page that a repository shows.

Findings come first and doubt at the end of each section; who reads only a heading sees whether there is an objection.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import PurePath

from ..figures.curve_plots import CurvePlot, draw_curves
from ..figures.dot_plots import DotPlot, draw_overview
from ..figures.svg import THEMES
from ..tables.claims import Finding
from ..tables.claims.document import counts
from ..tables.formatting import counted
from ..tables.suite_table import SuiteInfo
from ..tables.table_formats import LEGEND
from .headlines import most_telling
from .pictures import long_trainings, overview
from .provenance import all_hold_at
from .reading import Reading
from .result_section import Suite, picture_of, section_of, suites_of

DOCUMENT = "RESULTS.md"
COLUMNS = {"wide": 2, "narrow": 1}
INTRODUCTION = """\
What the committed records say, folder by folder: findings first, doubt at the end of each section. `sparsebench report`
writes it from the records; only the parts called "Reading" are written by hand.
"""
EXPLANATION = f"""## How to read this

Every number leads to a record with its seed, commit, data checksums, library versions and machine. More columns (each
task, costs, training) are on the page and in the tables that `sparsebench report FOLDER` writes, the other claims and
what was tested in `claims.md` of a folder.

A study tests statements with paired comparisons over seeds, by the 95 % intervals of the differences, corrected for the
comparisons of a statement. A statement holds, fails, is negligible (the effect lies within the
smallest one of interest, on both sides), undecided, or not testable here, where a check of the instrument fails. ✓: the
verdict stands when it is corrected over all claims of its study (Holm). Of several comparisons the effect shown is the
one that the verdict hangs on. The models here are small and the conditions ours: each verdict is meant where it says,
and no further. Statements of our own are counted apart; those that do not stand are named alone.

Scores of other results: {LEGEND}
"""


def results_document(readings: Mapping[str, Reading], infos: Mapping[str, SuiteInfo]) -> dict[str, str]:
    """File names to texts: the document, and the picture for wide and narrow, light and dark pages.

    Args:
        readings: folder, as seen from the document, to what it holds. Those with findings are studies; of the others
            the document shows a table of each suite, and the picture all suites.
        infos: how each suite is presented.
    """
    ordered = dict(sorted(readings.items(), key=_place))
    suites = {path: suites_of(reading, infos) for path, reading in ordered.items()}
    sound = {path: found for path, found in suites.items() if found and not readings[path].objection}
    files = _pictures(list(chain.from_iterable(sound.values())))
    studies = [reading for reading in readings.values() if reading.findings]
    parts = ["# Results\n", INTRODUCTION, *_sum(studies), *_three(sound)]
    for path, reading in ordered.items():
        drawn = _drawn(path, long_trainings(reading)) if path in sound else {}
        files |= drawn
        parts.append(section_of(path, reading, suites[path], list(drawn)))
    standings = chain.from_iterable(reading.standings for reading in readings.values())
    parts += [EXPLANATION, f"{all_hold_at(list(standings))}\n"]
    files[DOCUMENT] = "\n".join(parts)
    return files


def _place(item: tuple[str, Reading]) -> tuple[bool, bool, str]:
    """Studies come last, and what nobody objects to first."""
    path, reading = item
    return bool(reading.findings), bool(reading.objection), path


def picture(shape: str, theme: str) -> str:
    """The file of one picture: "overview-wide-light.svg"."""
    return f"overview-{shape}-{theme}.svg"


def _pictures(suites: Sequence[Suite]) -> dict[str, str]:
    """The plots of each suite, those of several folders together."""
    plots: dict[str, list[DotPlot]] = {}
    for suite in suites:
        plots.setdefault(suite.info.title, []).extend(overview(suite.headlines))
    files = {}
    for shape, columns in COLUMNS.items():
        for name, theme in THEMES.items():
            files[picture(shape, name)] = draw_overview(list(plots.items()), theme, columns)
    return files


def _drawn(path: str, plot: CurvePlot | None) -> dict[str, str]:
    """The files of the curves of one folder, dark and light; none without curves."""
    if plot is None:
        return {}
    return {f"curves-{PurePath(path).name}-{name}.svg": draw_curves(plot, THEMES[name]) for name in ("dark", "light")}


def _sum(studies: Sequence[Reading]) -> Iterator[str]:
    """The counts of all studies together: what papers claim in a sentence alone, and what of it is objected to."""
    published, own = _told(studies, ours=False), _told(studies, ours=True)
    if published:
        where = counted(len(studies), "study")
        yield f"**Of {counted(len(published), 'claim')} of papers in {where}, {counts(published)}.**\n"
    objected = _told([reading for reading in studies if reading.objection], ours=False)
    if objected:
        told = "is of a study" if len(objected) == 1 else "are of studies"
        yield f"Of these, {counted(len(objected), 'claim')} {told} with a set-up objected to: {counts(objected)}.\n"
    if own:
        yield f"Of {counted(len(own), 'statement')} of our own, {counts(own)}.\n"


def _told(studies: Iterable[Reading], ours: bool) -> list[Finding]:
    findings = chain.from_iterable(reading.findings for reading in studies)
    return [finding for finding in findings if finding.claim.ours is ours]


def first_findings(suites: Iterable[Suite]) -> tuple[list[str], str]:
    """Three findings, a line of Markdown each, and what they come to in a few words, for under the picture."""
    found = most_telling(list(chain.from_iterable(suite.headlines for suite in suites)))
    caption = "; ".join(f"{one.name}: {one.found.title}" for one in found)
    return [f"- **{one.name}**: {one.found.short}" for one in found], f"{caption}."


def _three(sound: Mapping[str, Sequence[Suite]]) -> Iterator[str]:
    """The first findings of the folders that nobody objects to, and the picture of their suites."""
    lines, caption = first_findings(chain.from_iterable(sound.values()))
    if lines:
        names = " and ".join(f"[{path}]({path})" for path in sound)
        yield "\n".join([f"Of {names}, one finding of each suite:", "", *lines, ""])
        yield picture_of(picture("wide", "dark"), picture("wide", "light"), caption)
        yield f"**{caption}** Scores with 95 % intervals, better to the right; bars: active parameters.\n"
