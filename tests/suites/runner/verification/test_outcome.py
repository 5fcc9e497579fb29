"""What is said of records and their folders, and the exit code."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sparsebench.reports.records.sums import Fit
from sparsebench.suites.runner.verification.folders import FolderCheck
from sparsebench.suites.runner.verification.judgement import Judgement, ScoreCheck
from sparsebench.suites.runner.verification.lookup import Named
from sparsebench.suites.runner.verification.outcome import exit_code, to_json, to_text
from sparsebench.suites.runner.verification.verify import Verification

from ..cells import record

FOLDER = Path("f")
NEAR = Judgement(
    "within", (ScoreCheck("acc", "within", 0.5, 0.51, 0.4, 0.6, "95 % over 9 examples"),), "other examples"
)
ONE = Verification(Named(record(), FOLDER), NEAR, examples="not compared")
WHOLE = FolderCheck(FOLDER, Fit(listed=2))
CHANGED = FolderCheck(FOLDER, Fit(listed=2, changed=("records/i.json",)))


@pytest.mark.parametrize("verdict", ["outside", "no data", "gone", "contradiction"])
def test_the_exit_code_is_that_of_records_and_folders(verdict: str) -> None:
    bad = replace(ONE, judgement=Judgement(verdict, reason="why"))  # type: ignore[arg-type]
    assert exit_code([ONE], [WHOLE]) == 0
    assert exit_code([ONE, bad], [WHOLE]) == exit_code([ONE], [CHANGED]) == 1


def test_everything_that_is_not_equal_is_said() -> None:
    said = to_text([ONE, replace(ONE, judgement=Judgement("contradiction", reason="acc is 2"))], [CHANGED]).splitlines()
    title = "i llm/synthetic dense on tiny seed 0"
    assert said[0] == f"within  {title}: acc 0.5 then, 0.51 now; same code, libraries, data, machine"
    assert said[1] == "    acc: 0.5 then, 0.51 now; within [0.4, 0.6] (95 % over 9 examples)"
    assert said[2:5] == ["    other examples", "    not compared", f"contradiction {title}: acc is 2"]
    assert said[-2:] == [*CHANGED.sentences(), "1 of 2 records reproduced, 0 of them to the last digit."]
    assert to_text([replace(ONE, judgement=Judgement("no data", reason="why"))], [WHOLE]).startswith(
        f"no data {title}: why\n"
    )
    (first,) = json.loads(to_json([ONE], [CHANGED]))
    assert (first["passed"], first["folder"], first["examples"]) == (True, CHANGED.sentences(), "not compared")
