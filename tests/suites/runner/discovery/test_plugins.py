"""Packages that bring something by entry point: the good is found, the broken is named and takes nothing else down."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sparsebench.suites.runner.discovery import registry
from sparsebench.suites.runner.discovery.plugins import read_plugins
from sparsebench.suites.runner.discovery.registry import broken_plugins, entries, find, plugin_problems
from sparsebench.suites.runner.errors import UsageError

GOOD = '"""A good one."""\nSOURCES = ("moses",)\n'

Install = Callable[[dict[str, str | bytes], dict[str, str]], None]


def forget() -> None:
    registry.entries.cache_clear()
    registry.broken_plugins.cache_clear()


@pytest.fixture
def install(tmp_path: Path, monkeypatch) -> Iterator[Install]:
    """Installs a distribution `mine` with files of the package `plugin_of_tests` and entry points for its modules."""

    def write(files: dict[str, str | bytes], points: dict[str, str]) -> None:
        for name, text in files.items():
            path = tmp_path / "plugin_of_tests" / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        about = tmp_path / "mine-1.dist-info"
        about.mkdir()
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1\n")
        lines = []
        for name, module in points.items():
            kind, _, plain = name.partition(":")
            lines += [f"[sparsebench.{kind}s]", f"{plain} = {module}"]
        (about / "entry_points.txt").write_text("\n".join(lines) + "\n")
        monkeypatch.syspath_prepend(tmp_path)
        forget()

    yield write
    forget()
    for name in [name for name in sys.modules if name.startswith("plugin_of_tests")]:
        del sys.modules[name]


def test_nothing_of_a_package_is_run_to_find_what_it_brings(install: Install) -> None:
    raising = "raise RuntimeError('this was run')"
    files = {"__init__.py": raising, "fine.py": GOOD + raising, "deep/__init__.py": raising, "deep/fine.py": GOOD}
    points = {"method:fine_one": "plugin_of_tests.fine", "backbone:vtab.fine_two": "plugin_of_tests.deep.fine"}
    install(files, points)  # type: ignore[arg-type]
    assert entries("method")["fine_one"].caption == "A good one"
    assert entries("backbone", "vtab")["fine_two"].sources == ("moses",)
    assert plugin_problems() == []
    assert not [name for name in sys.modules if name.startswith("plugin_of_tests")]
    with pytest.raises(UsageError, match=r"'fine_one': plugin_of_tests\.fine cannot be imported: RuntimeError: this"):
        find("method", "fine_one").load()


BROKEN = {
    "no Python": ("def (", "SyntaxError"),
    "not UTF-8": (b"# \xff", "cannot be read"),
    "a null byte": ("\0", "cannot be read"),
    "too deep": ("(" * 5000, "cannot be read"),
    "sources that are no list": ("SOURCES = 3", "SOURCES must be a list of texts, not 3"),
    "sources that are no texts": ("SOURCES = (3,)", r"SOURCES must be a list of texts, not \(3,\)"),
    "traits that are no list": ("TRAITS = 'blocks'", "TRAITS must be a list of texts, not 'blocks'"),
    "sources that cannot be": ("SOURCES = {[]: 1}", None),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_cannot_be_read_is_named_and_the_rest_is_listed(name: str, install: Install) -> None:
    content, reason = BROKEN[name]
    points = {"backbone:vtab.bad": "plugin_of_tests.bad", "backbone:vtab.good": "plugin_of_tests.good"}
    install({"__init__.py": "", "bad.py": content, "good.py": GOOD}, points)
    assert {"good", "tiny"} <= entries("backbone", "vtab").keys()
    if reason is None:  # what is no literal counts as not given
        assert entries("backbone", "vtab")["bad"].sources == ()
        return
    assert "bad" not in entries("backbone", "vtab")
    (line,) = plugin_problems()
    assert line.startswith("the backbone 'vtab.bad' of mine (plugin_of_tests.bad) cannot be used: ")
    assert "\n" not in line
    with pytest.raises(UsageError, match=reason):
        find("backbone", "bad", "vtab")


@pytest.mark.parametrize(
    ("point", "module", "reason"),
    [
        ("method:gone", "plugin_of_tests.gone", "there is no such module: reinstall that package"),
        ("method:gone", "no_such_package_at_all.gone", "there is no such module"),
        ("method:gone", "plugin_of_tests.fine:name", "there is no such module"),
        ("method:dense", "plugin_of_tests.fine", "the name 'dense' is built in"),
        ("task:fine", "plugin_of_tests.fine", "its name must begin with a suite: llm or molecules or vtab"),
        ("task:molecule.fine", "plugin_of_tests.fine", "there is no suite 'molecule'; did you mean molecules"),
        ("task:molecules.rows", "plugin_of_tests.rows", "the row"),
        ("task:molecules.odd", "plugin_of_tests.odd", "cannot be read: TypeError"),
    ],
)
def test_an_entry_point_that_leads_nowhere_is_named(point: str, module: str, reason: str, install: Install) -> None:
    rows = "COLUMNS = ('name', 'caption')\nROWS = (('a',),)\n"
    odd = "COLUMNS = ('name', 'caption')\nROWS = (3,)\n"
    install({"__init__.py": "", "fine.py": GOOD, "rows.py": rows, "odd.py": odd}, {point: module})
    (line,) = plugin_problems()
    assert reason in line
    assert "\n" not in line
    assert "dense" in entries("method")
    assert entries("method")["dense"].module == "sparsebench.suites.methods.baselines.dense"


def test_two_packages_with_one_name(install: Install) -> None:
    points = {"backbone:vtab.a.same": "plugin_of_tests.one"}
    install({"__init__.py": "", "one.py": GOOD, "two.py": GOOD}, points)
    assert "there is no suite 'vtab.a'" in plugin_problems()[0]
    assert read_plugins("backbone", "vtab.a", ["same"]).broken.keys() == {"same of plugin_of_tests.one"}
    assert broken_plugins("backbone", "vtab") == {}


def test_a_helper_that_is_no_python_is_a_mistake_of_one_line(install: Install) -> None:
    from sparsebench.suites.runner.discovery.closure import Tree

    files = {"__init__.py": "", "fine.py": GOOD + "from .helper import x\n", "helper.py": "def ("}
    install(files, {"method:fine_one": "plugin_of_tests.fine"})  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"helper.py cannot be read: SyntaxError"):
        Tree().closure([find("method", "fine_one").module])
