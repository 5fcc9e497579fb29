"""RESULTS.md: what it shows of benches and studies, and what it says of their age."""

import re
from pathlib import Path

from sparsebench.reports.page.reading import Reading
from sparsebench.reports.page.result_section import MARK, suites_of
from sparsebench.reports.page.results_document import DOCUMENT, first_findings, results_document
from sparsebench.reports.tables.claims import judge

from .runs import INFOS, claim, records


def test_a_bench_is_its_findings_a_table_of_six_columns_the_reading_and_doubt(make):
    made = records(make)
    files = results_document({"results/quick": Reading(records=made, words="We read this.")}, INFOS)
    text = files[DOCUMENT]
    section = text.partition("## [results/quick](results/quick)\n\n")[2]
    assert section.startswith("### Vision\n\nSmall images.\n\n- **T**: LoRA beats base by +20.0 [")
    assert "| T, accuracy (%) ↑ | base | 51.0 ± 3.2 | baseline | – | – |" in section
    assert "|  | LoRA | **71.0 ± 3.2** | better | – | – |" in section
    never = "no cell of these records has been run again to see whether they hold"
    assert (
        "\n\n### Reading\n\nWe read this.\n\n### Doubt\n\n- 6 records of 2026-11-24 to 2026-11-24, seeds 0, 1, 2"
        in section
    )
    assert f"inside cells, on unknown processor; made by 0123abc; {never}.\n" in section
    assert text.endswith(f"\n{never.capitalize()}.\n")
    pictures = {f"overview-{shape}-{theme}.svg" for shape in ("wide", "narrow") for theme in ("light", "dark")}
    assert files.keys() == {DOCUMENT} | pictures
    assert text.count('srcset="overview-wide-dark.svg"') == 1
    assert ">LoRA</text>" in files["overview-narrow-dark.svg"]


def test_the_first_findings_are_of_folders_that_nobody_objects_to(make):
    sound = Reading(records=records(make))
    objected = Reading(records=make.side("base", [0.5] * 3, "u"), objection="Objected to.")
    text = results_document({"results/early": objected, "results/quick": sound}, INFOS)[DOCUMENT]
    (line,), caption = first_findings(suites_of(sound, INFOS))
    assert f"Of [results/quick](results/quick), one finding of each suite:\n\n{line}\n\n<picture>" in text
    assert line.startswith("- **T**: LoRA beats base by +20.0 [") and line.endswith(" points.")
    assert f'alt="{caption}"' in text and f"**{caption}**" in text and caption == "T: LoRA beats base."
    assert text.index("## [results/quick]") < text.index("## [results/early]")


def test_suites_of_two_folders_share_a_heading_of_the_picture_and_unknown_ones_are_left_out(make):
    readings = {path: Reading(records=records(make)) for path in ("r", "s")}
    readings["x"] = Reading(records=[make.record("a", cell={"suite": "other"})])
    files = results_document(readings, INFOS)
    picture = files["overview-wide-light.svg"]
    assert picture.count(">Vision</text>") == 1 and picture.count(">LoRA beats base</text>") == 2
    assert "other" not in files[DOCUMENT].partition("## [x]")[2].partition("### Doubt")[0]


def test_of_several_records_of_one_cell_the_newest_counts(make):
    old = make.record("base", "t", 0, make.metric(0.9), code="1", id="k-1", finished="2026-01-01")
    new = results_document({"r": Reading(records=records(make))}, INFOS)
    both = results_document({"r": Reading(records=[old, *records(make)])}, INFOS)
    assert both["overview-wide-light.svg"] == new["overview-wide-light.svg"]


def test_a_study_counts_statements_of_others_and_our_own_separately(make):
    claims = [
        claim("C1", ("base", "LoRA")),
        claim("C2", ("LoRA", "base")),
        claim("C3", ("base", "LoRA"), ours=True),
        claim("C4", ("base", "MAM")),
    ]
    findings = judge(claims, records(make))
    text = results_document({"results/claims-x": Reading(records=records(make), findings=findings)}, INFOS)[DOCUMENT]
    assert "## [results/claims-x](results/claims-x/claims.md)\n" in text
    assert "3 claims of papers: 1 holds, 1 fails, 1 is undecided (corrected over the study: 1 holds, 1 fails)" in text
    assert "**Of 3 claims of papers in 1 study, 1 holds, 1 fails, 1 is undecided (corr" in text
    assert "\nOf 1 statement of our own, 1 holds (corrected over the study: 1 holds).\n" in text
    rows = [line for line in text.splitlines() if line.startswith("| LoRA helps.")]
    assert [row.split(" | ")[:2] for row in rows] == [
        ["| LoRA helps. `C1`", "holds ✓"],
        ["| LoRA helps. `C2`", "fails ✓"],
        ["| LoRA helps. (ours) `C3`", "holds ✓"],
    ]
    assert rows[0].endswith("| base − LoRA: −20.0 [−22.8, −17.2] points |")
    assert "\nUndecided: `C4`.\n" in text
    assert "| LoRA |" not in text, "the tables of a study are on its page"


def test_the_first_page_says_what_the_results_say_of_papers():
    """One sentence, over all studies: it is copied, and must not grow old."""
    home = Path(__file__).parents[3]
    (told,) = re.findall(r"\*\*(Of .* of papers in .*)\*\*", (home / "reports" / DOCUMENT).read_text(encoding="utf-8"))
    assert told in " ".join((home / "README.md").read_text(encoding="utf-8").split())


def test_an_objection_is_marked_in_the_heading_and_told_as_doubt(make):
    findings = judge([claim("C1", ("base", "LoRA"))], records(make))
    reading = Reading(records=records(make), findings=findings, objection="Objected to until redone.")
    text = results_document({"results/claims-x": reading}, INFOS)[DOCUMENT]
    assert f"## [results/claims-x](results/claims-x/claims.md){MARK}\n" in text
    told = "Of these, 1 claim is of a study with a set-up objected to: 1 holds (corrected over the study: 1 holds).\n"
    assert f"\n{told}" in text
    assert text.index("| LoRA helps.") < text.index("### Doubt\n\n- **Objected to until redone.**\n- 6 records")
    bench = results_document({"results/old": Reading(records=records(make), objection="Objected to.")}, INFOS)
    assert f"## [results/old](results/old){MARK}\n" in bench[DOCUMENT]
    assert "one finding of each suite" not in bench[DOCUMENT]
    two = results_document({path: Reading(records=records(make)) for path in ("r", "s")}, INFOS)[DOCUMENT]
    assert MARK not in two
    assert two.count("<picture>") == 1, "it shows the suites of all folders"
