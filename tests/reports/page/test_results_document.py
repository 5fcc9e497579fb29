"""RESULTS.md: what it shows of benches and studies, and what it says of their age."""

import dataclasses
import re
from pathlib import Path

from sparsebench.reports.page.results_document import DOCUMENT, Run, results_document
from sparsebench.reports.tables.claims import Check, judge
from sparsebench.reports.tables.suite_table import SuiteInfo

from ..tables.claims.studies import CLAIM

INFOS = {"vtab": SuiteInfo(title="Vision", description="Small images.", baseline="base", unit="image")}


def records(make):
    return make.side("base", [0.5, 0.51, 0.52]) + make.side("LoRA", [0.7, 0.71, 0.72])


LORA = dataclasses.replace(CLAIM, statement="LoRA helps.", suite="vtab", metric="accuracy", backbone="vit-tiny")


def claim(id_, rows, source):
    return dataclasses.replace(LORA, id=id_, rows=rows, source=source)


def test_a_bench_is_its_picture_summaries_tables_and_reading(make):
    made = records(make)
    run = Run(path="results/quick", records=made, reading="We read this.\n")
    files = results_document([run], INFOS)
    text = files[DOCUMENT]
    assert "## [results/quick](results/quick)" in text
    assert "6 records of 2026-11-24 to 2026-11-24, seeds 0, 1, 2" in text
    never = "no cell of these records has been run again to see whether they hold"
    assert f"inside cells, on unknown processor; made by 0123abc; {never}.\n" in text
    assert text.split("\n\n")[1] == f"{never.capitalize()}."
    assert "### Vision\n\nSmall images.\n" in text
    assert "- **On t (accuracy)**: LoRA beats base by +20.0" in text
    assert "| LoRA | **71.0 ± 3.2** |" in text
    assert "#### Reading\n\nWe read this.\n" in text
    pictures = {f"overview-{shape}-{theme}.svg" for shape in ("wide", "narrow") for theme in ("light", "dark")}
    assert files.keys() == {DOCUMENT} | pictures
    assert text.count('srcset="overview-wide-dark.svg"') == 1
    assert ">LoRA</text>" in files["overview-narrow-dark.svg"]


def test_of_several_records_of_one_cell_the_newest_counts(make):
    old = make.record("base", "t", 0, make.metric(0.9), code="1", id="k-1", finished="2026-01-01")
    new = results_document([Run(path="r", records=[*records(make)])], INFOS)
    both = results_document([Run(path="r", records=[old, *records(make)])], INFOS)
    assert both["overview-wide-light.svg"] == new["overview-wide-light.svg"]


def test_a_study_counts_statements_of_others_and_our_own_separately(make):
    claims = [
        claim("C1", ("base", "LoRA"), "a paper"),
        claim("C2", ("LoRA", "base"), "a paper"),
        claim("C3", ("base", "LoRA"), "our own"),
        claim("C4", ("base", "MAM"), "another paper"),
    ]
    findings = judge(claims, records(make))
    text = results_document([Run(path="results/claims-x", records=records(make), findings=findings)], INFOS)[DOCUMENT]
    assert "### [results/claims-x](results/claims-x/claims.md)" in text
    assert "3 claims of papers: 1 holds, 1 fails, 1 is undecided (corrected over the study: 1 holds, 1 fails)" in text
    reproduced = text.partition("Holds:")[2].partition("Fails:")[0]
    assert "**Of 3 claims of papers in 1 study, 1 holds, 1 fails, 1 is undecided (corr" in text
    assert "\nOf 1 statement of our own, 1 holds (corrected over the study: 1 holds).\n" in text
    assert "- LoRA helps. `C1` ✓" in reproduced
    assert "- LoRA helps. (ours) `C3`" in reproduced
    assert "`C2`" not in reproduced
    assert "| LoRA |" not in text, "the tables of a study are on its page"


def test_where_a_verdict_is_meant_is_said_once_if_all_share_it(make):
    placed = dataclasses.replace(claim("C1", ("base", "LoRA"), "a paper"), place="on small images")
    other = dataclasses.replace(placed, id="C2", statement="It helps.", place="elsewhere")
    stated = Check(kind="stated", reason="the rows are not comparable")
    broken = dataclasses.replace(placed, id="C3", checks=(stated,))
    for claims, lines in (
        (
            [placed, broken],
            "Holds, on small images:\n\n- LoRA helps. `C1` ✓\n\nNot testable here:\n\n- LoRA helps. (the",
        ),
        ([placed, other], "Holds:\n\n- LoRA helps, on small images. `C1` ✓\n- It helps, elsewhere. `C2` ✓\n"),
    ):
        run = Run(path="results/claims-x", records=records(make), findings=judge(claims, records(make)))
        assert lines in results_document([run], INFOS)[DOCUMENT]


def test_the_first_page_says_what_the_results_say_of_papers():
    """One sentence, over all studies: it is copied, and must not grow old."""
    home = Path(__file__).parents[3]
    (told,) = re.findall(r"\*\*(Of .* of papers in .*)\*\*", (home / "reports" / DOCUMENT).read_text(encoding="utf-8"))
    assert told in " ".join((home / "README.md").read_text(encoding="utf-8").split())


def test_an_objection_stands_at_the_top_of_its_study(make):
    findings = judge([claim("C1", ("base", "LoRA"), "a paper")], records(make))
    run = Run(path="results/claims-x", records=records(make), findings=findings, objection="Objected to until redone.")
    text = results_document([run], INFOS)[DOCUMENT]
    assert "### [results/claims-x](results/claims-x/claims.md)\n\n**Objected to until redone.**\n\n6 records" in text
    assert text.index("- [results/claims-x](results/claims-x): Objected to") < text.index("## What papers claim")
    bench = results_document([Run(path="results/old", records=records(make), objection="Objected to.")], INFOS)
    assert "## [results/old](results/old)\n\n**Objected to.**\n\n" in bench[DOCUMENT]
    two = results_document([Run(path=path, records=records(make)) for path in ("r", "s")], INFOS)[DOCUMENT]
    assert two.count("<picture>") == 1, "it shows the suites of all folders"


def test_roles_of_the_plan_are_heeded_by_tables_and_summaries(make):
    """D5: a row of equal size, there as a control, was said to beat the baseline."""
    run = Run(path="r", records=records(make), roles={"vtab": {"LoRA": "control"}})
    text = results_document([run], INFOS)[DOCUMENT]
    assert "LoRA beats" not in text
    assert "Controls: LoRA (+20.0), better." in text
    assert "| LoRA (control) |" in text


def test_commits_that_are_not_here_are_told_by_folder(make):
    made = [make.record("base", environment={"commit": "abcdef012345"})]
    run = Run(path="results/quick", records=made, unknown_commits={"abcdef012345"})
    line = "- results/quick: 1 of 1 records name a commit that this repository does not have (abcdef01)"
    assert line in results_document([run], INFOS)[DOCUMENT].splitlines()
    known = Run(path="results/quick", records=made)
    assert "does not have" not in results_document([known], INFOS)[DOCUMENT]
