import functools

import pytest

from sparsebench.models.compression.quantisation.packed.kernels import native as packed
from sparsebench.models.moe.experts import native
from sparsebench.suites.runner import doctor
from sparsebench.suites.runner.doctor import diagnosis, doctor_text


def test_says_whether_the_kernels_are_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "_load", functools.cache(native._load.__wrapped__))
    monkeypatch.setattr(packed, "_load", functools.cache(packed._load.__wrapped__))
    monkeypatch.setenv("SPARSEBENCH_NATIVE", "0")
    lines = doctor_text(diagnosis()).splitlines()
    assert "C++ experts: not in use (SPARSEBENCH_NATIVE=0); PyTorch operators instead" in lines
    why = "not in use (SPARSEBENCH_NATIVE=0); dense weights are made instead"
    assert f"C++ products of packed weights: {why}" in lines


def test_text_for_people_has_no_json_and_problems_come_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "NEEDED_BYTES", 1 << 80)
    document = diagnosis()
    lines = doctor_text(document).splitlines()
    assert not any(line.strip().startswith(("{", "}", '"')) for line in lines)
    assert lines[0] == f"python: {document['environment']['python']}"
    assert lines[-1].startswith("problem: ") and "4 GiB are wanted" in lines[-1]
    assert any(line.startswith("libraries: sparsebench ") for line in lines)


def test_a_switch_with_an_unknown_value_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARSEBENCH_FORMS", "rule")
    assert doctor_text(diagnosis()).splitlines()[-1] == "problem: SPARSEBENCH_FORMS=rule: it is measured or rules"
