"""Profiles as files: what is no YAML, or would be read otherwise than it looks, is refused in one line."""

from pathlib import Path

import pytest

from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.planning.profile_file import read_value, read_yaml


def test_a_mapping(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("shared: &x {rank: 8}\nllm: {a: *x, b: *x, seeds: 3}\n", encoding="utf-8")
    assert read_yaml(path) == {"shared": {"rank": 8}, "llm": {"a": {"rank": 8}, "b": {"rank": 8}, "seeds": 3}}


def test_digits_with_colons_are_texts(tmp_path: Path) -> None:
    """YAML 1.1 takes 2:4 for a number to base 60: nobody who asks for a pattern of zeros means 124."""
    path = tmp_path / "p.yaml"
    path.write_text("a: 2:4\nb: [1:30.5, '4:8', 24, 1_000, 0x1f, -2.5]\nc: !!int 2:4\n", encoding="utf-8")
    assert read_yaml(path) == {"a": "2:4", "b": ["1:30.5", "4:8", 24, 1000, 31, -2.5], "c": 124}
    assert read_value("2:4", "here") == "2:4" and read_value("12:30:00", "here") == "12:30:00"
    assert read_value("1e-3", "here") == 0.001


BAD = {
    "not UTF-8": (b"llm: \xff\xfe", "not UTF-8 \\(invalid start byte at byte 5\\): save it as UTF-8"),
    "no mapping": (b"- a", "must be a mapping"),
    "empty": (b"", "must be a mapping"),
    "no YAML": (b"a: [", "not valid YAML"),
    "a control character": (b"a: \x01", "not valid YAML"),
    "a date that is none": (b"a: 2001-99-99", "not valid YAML: month must be in 1..12"),
    "a tag that makes no sense": (b"a: !!timestamp x", "not valid YAML"),
    "an unknown tag": (b"a: !!python/object:os.system x", "not valid YAML"),
    "a list as a key": (b"? [a]\n: 1", "not valid YAML"),
    "nested without end": (b"[" * 5000, "not valid YAML"),
    "an alias for itself": (b"a: &x {b: *x}", "more than 20 levels deep"),
    "a bomb": (b"a: &a [1,1,1,1,1,1,1,1,1]\n" + b"".join(
        b"%c: &%c [%s]\n" % (n, n, b",".join([b"*%c" % (n - 1)] * 9)) for n in range(98, 106)
    ), "or more than 100000 values"),
    "a key that stands twice": (b"llm:\n  seeds: 3\n  a: 1\n  seeds: 5", "'seeds' stands twice, in lines 2 and 4"),
    "not a number": (b"llm: {timeout: .nan}", "llm, timeout: nan is no finite number"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_files(name: str, tmp_path: Path) -> None:
    content, message = BAD[name]
    path = tmp_path / "p.yaml"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=message) as caught:
        read_yaml(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read_yaml(tmp_path / "p.yaml")
    with pytest.raises(UsageError, match="Is a directory"):
        read_yaml(tmp_path)
