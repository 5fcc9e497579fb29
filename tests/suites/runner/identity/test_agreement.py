"""What two machines must have in common, and what is said where they differ."""

import dataclasses
from pathlib import Path

import pytest

from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.identity import agreement
from sparsebench.suites.runner.identity.agreement import differences, identity_lines, kind_of, lines_digest
from sparsebench.suites.runner.identity.cell import Cell


def test_seeds_are_of_one_kind_and_methods_are_not(planned: list[Cell]) -> None:
    assert len(planned) == 4
    assert len({kind_of(cell) for cell in planned}) == 2
    assert len({lines_digest(identity_lines(cell)) for cell in planned}) == 2


@pytest.mark.parametrize(
    "start",
    ["suites/runner/execution/execute.py ", "sparsebench.suites.methods.adapters.lora ", "python==", "device cpu"],
)
def test_code_runner_python_and_device_are_named(planned: list[Cell], start: str) -> None:
    assert sum(line.startswith(start) for line in identity_lines(planned[-1])) == 1


def test_weights_are_named(planned: list[Cell], monkeypatch: pytest.MonkeyPatch) -> None:
    lines = {}
    for content in ("a" * 64, "b" * 64):
        monkeypatch.setattr(agreement, "weights_identity", lambda *_, content=content: {"model.safetensors": content})
        lines[content[0]] = identity_lines(planned[0])
    assert differences(lines["a"], lines["b"]) == "weights tiny model.safetensors"


def test_a_method_that_is_not_installed(planned: list[Cell]) -> None:
    foreign = dataclasses.replace(planned[0], info=dataclasses.replace(planned[0].info, method="linear_prob"))
    with pytest.raises(UsageError, match="did you mean linear_probe"):
        identity_lines(foreign)


def test_differences_are_named_with_short_values() -> None:
    here = ["torch==2.13.0", "mine.method 0123456789abcdef", "source moses=0123456789abcdef", "gone 1", "python==3.11"]
    there = ["torch==2.12.0", "mine.method 0123456789abcdee", "source moses=0123456789abcdee", "python==3.11"]
    assert differences(here, here) == ""
    assert differences(here, there) == "gone (not there), mine.method, source moses, 1 more"
    assert differences(here[:1], there[:1]) == "torch (2.13.0 here, 2.12.0 there)"
    assert (
        differences(["SPARSEBENCH_NATIVE="], ["SPARSEBENCH_NATIVE=0"]) == "SPARSEBENCH_NATIVE (nothing here, 0 there)"
    )


def test_a_changed_file_of_the_runner_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "reports" / "records" / "record.py"
    file.parent.mkdir(parents=True)
    monkeypatch.setattr(agreement, "HOME", tmp_path)
    found = []
    for content in ("one", "two"):
        file.write_text(content)
        found.append(agreement._around.__wrapped__())
    assert differences(*found) == "reports/records/record.py"
