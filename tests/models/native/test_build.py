"""A source is compiled once for its text, the header, the compiler and the processor, and never loaded broken."""

import os
from pathlib import Path

import pytest

from sparsebench.models.native import build
from sparsebench.models.native.build import SWITCH, NotAvailableError, library

ABLE = frozenset((*build.NEEDED, "avx512_vnni"))


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A source of its own, an able processor and an empty cache."""
    monkeypatch.delenv(SWITCH, raising=False)
    monkeypatch.setenv("SPARSEBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(build, "_processor", lambda: ABLE)
    path = tmp_path / "mine" / "kernel.cpp"
    path.parent.mkdir()
    path.write_text("int one() { return 1; }")
    return path


def compiler(tmp_path: Path, text: str) -> str:
    """A compiler of our own."""
    path = tmp_path / "cxx"
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return str(path)


WRITES = 'for last; do :; done\necho code > "$last"\n'


def test_compiler_with_arguments(source: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As in CXX="ccache g++"."""
    monkeypatch.setenv("CXX", compiler(tmp_path, f'test "$1" = first || exit 1\n{WRITES}') + " first")
    assert library(source).path.exists()


def test_a_compiler_that_fails_without_a_word_is_told_by_its_exit_code(
    source: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CXX", compiler(tmp_path, "exit 3"))
    with pytest.raises(NotAvailableError, match="failed: it says nothing but exit code 3"):
        library(source)


def test_each_processor_and_text_has_a_library_of_its_own(
    source: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    monkeypatch.setenv("CXX", compiler(tmp_path, f'echo "$@" >> {log}\n{WRITES}'))
    plain = library(source)
    assert plain.path.name.startswith("mine-") and "vnni" not in log.read_text()
    wide = library(source, ("avx512_vnni",))
    assert wide.path != plain.path and "-mavx512vnni" in log.read_text()
    header = tmp_path / "vectors.h"
    header.write_text("// another")
    monkeypatch.setattr(build, "HEADER", header)
    assert library(source).path != plain.path
    source.write_text("int one() { return 2; }")
    assert library(source).path != plain.path


def test_what_is_optional_is_built_with_where_processor_and_compiler_know_it(
    source: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert library(source, (), ("amx_int8",)).features == ()
    monkeypatch.setattr(build, "_processor", lambda: ABLE | {"amx_int8", "avx512vbmi"})
    flags = tmp_path / "flags"
    monkeypatch.setenv("CXX", compiler(tmp_path, f'echo "$@" > {flags}\n{WRITES}'))
    assert library(source, (), ("avx512vbmi", "amx_int8", "amx_tile")).features == ("avx512vbmi", "amx_int8")
    assert "-mavx512vbmi -mamx-int8" in flags.read_text()
    monkeypatch.setenv("CXX", compiler(tmp_path, f'case "$*" in *amx*) exit 1;; esac\n{WRITES}'))
    source.write_text("int two() { return 2; }")
    assert library(source, (), ("amx_int8",)).features == ()


def test_what_the_processor_lacks_is_named(source: Path) -> None:
    with pytest.raises(NotAvailableError, match="the processor has no amx_int8"):
        library(source, ("amx_int8",))


@pytest.mark.parametrize("how", ["cut", "exchanged", "digest cut", "digest gone"])
def test_a_broken_library_is_built_again_and_never_loaded(
    source: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, how: str
) -> None:
    """Audit R1: what lay under the right name was loaded, whatever it was."""
    log = tmp_path / "log"
    monkeypatch.setenv("CXX", compiler(tmp_path, f"echo ran >> {log}\n{WRITES}"))
    built = library(source)
    assert library(source) == built and log.read_text() == "ran\n"
    digest = built.path.with_suffix(".sha256")
    if how == "digest gone":
        digest.unlink()
    elif how == "digest cut":
        digest.write_bytes(digest.read_bytes()[:5] + b"\xff")
    else:
        built.path.write_text("co" if how == "cut" else "CODE\n")
    assert library(source) == built
    assert built.path.read_text() == "code\n" and log.read_text() == "ran\nran\n"


def test_a_shared_cache_has_a_folder_for_each_user(
    source: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CXX", compiler(tmp_path, WRITES))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(0o1777)
    path = library(source).path
    assert path.parent.name == f"native-{os.geteuid()}"
    assert [file.stat().st_mode & 0o077 for file in (path.parent, path, path.with_suffix(".sha256"))] == [0, 0, 0]


@pytest.mark.parametrize("what", ["folder", "library", "digest"])
@pytest.mark.parametrize("how", ["link", "mode", "owner"])
def test_what_others_could_have_put_there_is_not_loaded(
    source: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, what: str, how: str
) -> None:
    """The other user is played by another answer to who this user is, or by the owner where the tests run as root."""
    monkeypatch.setenv("CXX", compiler(tmp_path, WRITES))
    built = library(source).path
    path = {"folder": built.parent, "library": built, "digest": built.with_suffix(".sha256")}[what]
    if how == "link":
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
    elif how == "mode":
        path.chmod(0o722)
    elif os.geteuid() == 0:
        os.chown(path, 12345, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
        monkeypatch.setattr(build, "_folder", lambda: built.parent)
    problem = {"link": "is a link", "mode": "has mode 722", "owner": "belongs to user"}[how]
    with pytest.raises(NotAvailableError, match=f"{problem}.* remove it, or set SPARSEBENCH_CACHE"):
        library(source)
