"""What is not as it was: data and weights, by source and by file."""

from dataclasses import replace

import pytest

from sparsebench.reports.records.record import DataInfo, FileInfo, Record
from sparsebench.suites.runner.verification.differences import differences, threads_of

from ..cells import cell, record

FILES = [FileInfo(path="a.csv", size=1, sha256="a" * 64), FileInfo(path="b.csv", size=1, sha256="b" * 64)]
THEN = DataInfo(source="moses", version="1", sha256="1" * 64, licence="MIT", files=FILES)


def made(*data: DataInfo, **environment: object) -> Record:
    return record(data=list(data), environment={"libraries": {"torch": "0.1"}, **environment})


def of_data(then: list[DataInfo], now: list[DataInfo], key: str = "k") -> tuple[str, ...]:
    return differences(made(*then), cell(key=key), made(*now)).data


def test_the_same_data() -> None:
    assert of_data([THEN], [THEN]) == ()


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (replace(THEN, version="2"), "moses: version 2 (111111111111), version 1 (111111111111) then"),
        (replace(THEN, sha256=None), "moses: version 1 (no checksum), version 1 (111111111111) then"),
        (replace(THEN, files=FILES[:1]), "moses: other files: b.csv"),
        (replace(THEN, files=[FILES[0], replace(FILES[1], sha256="c" * 64)]), "moses: other files: b.csv"),
    ],
)
def test_a_source_that_differs_is_named(now: DataInfo, words: str) -> None:
    assert of_data([THEN], [now]) == (words,)


def test_sources_that_only_one_of_them_read() -> None:
    derived = replace(THEN, source="derived/moses")
    assert of_data([THEN], [THEN, derived]) == ("derived/moses: not read then",)
    assert of_data([THEN, derived], [THEN]) == ("derived/moses: not read now",)


def test_earlier_records_name_no_files_and_nothing_derived() -> None:
    earlier = replace(THEN, files=[])
    assert of_data([earlier], [THEN, replace(THEN, source="derived/moses")]) == ()


def test_weights_are_told_by_the_key() -> None:
    (sentence,) = of_data([THEN], [THEN], key="another")
    assert "the weights of tiny" in sentence


def test_machine_and_libraries() -> None:
    found = differences(made(processor="A", threads=1), cell(), made(processor="B", threads=1))
    assert found.machine == ("processor B, A then",)
    assert len(found.libraries) == 1 and "0.1 then" in found.libraries[0]
    assert found.code, "the code hash c is nobody's"


def test_a_record_that_does_not_say_its_type_of_processor() -> None:
    found = differences(made(processor="A"), cell(), made(processor="A", processor_type="family 25"))
    assert found.machine == ("processor_type family 25, not recorded then",)


@pytest.mark.parametrize(("noted", "threads"), [(1, 1), ("2", 1), (None, 1), (-3, 1)])
def test_threads_are_those_of_the_record(noted: object, threads: int) -> None:
    assert threads_of(made(threads=noted)) == threads


def test_threads_are_no_more_than_cores() -> None:
    assert 1 <= threads_of(made(threads=10**6)) < 10**6
