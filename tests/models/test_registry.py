"""Names from other packages: read when they are asked for, and not before."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from sparsebench.models.errors import ModelError
from sparsebench.models.registry import Registry, forget_used, function_in, only_class, plural, used_modules

from ..packages import Install, installed


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    with installed(tmp_path, monkeypatch) as function:
        yield function


def colours() -> Registry[str]:
    return Registry("colour", ("red", "green"), lambda module: function_in(module, "name")())


def test_a_package_is_imported_when_its_name_is_asked_for(install: Install) -> None:
    files = {"blue.py": "def name(): return 'as the sky'", "bad.py": "raise SystemExit(3)", "none.py": ""}
    install(files, {f"colours:{name.removesuffix('.py')}": name.removesuffix(".py") for name in files})
    registry = colours()
    forget_used()
    assert registry.names() == ["red", "green", "bad", "blue", "none"]
    assert "blue" in registry and "red" in registry and "grey" not in registry
    assert not [name for name in sys.modules if name.startswith("package_of_tests")]
    assert registry.get("blue") == "as the sky"
    assert used_modules() == {"package_of_tests.blue"}
    assert registry.needed("blue") == {
        "kind": "colour",
        "name": "blue",
        "module": "package_of_tests.blue",
        "package": "mine",
        "version": "1",
    }
    with pytest.raises(ModelError, match=r"colour 'bad': package_of_tests\.bad cannot be imported: SystemExit: 3"):
        registry.get("bad")
    with pytest.raises(ModelError, match=r"package_of_tests\.none must define a function name"):
        registry.get("none")


def test_what_this_process_registers() -> None:
    registry = colours()
    registry.register("sand", "dune", "my_module")
    registry.register("sand", "dunes", "my_module")  # as when a cell of a notebook runs again
    assert registry.get("sand") == "dunes" and registry.names()[-1] == "sand"
    needed = registry.needed("sand")
    assert needed is not None and (needed["package"], needed["version"]) == ("my_module", "")
    assert registry.needed("red") is None
    for name, message in (
        ("red", "the colour 'red' is built in"),
        ("light blue", "letters, digits and underscores only"),
        ("sand", "my_module has registered the colour 'sand'"),
    ):
        with pytest.raises(ModelError, match=message):
            registry.register(name, "x", "another_module")


def test_a_name_that_nobody_has() -> None:
    with pytest.raises(ModelError, match=r"colour='gren' is not one of red, green; did you mean 'green'\?"):
        colours().get("gren")


def test_what_a_saved_model_needs_is_named_with_its_package() -> None:
    needed = {"kind": "colour", "name": "blue", "module": "a.blue", "package": "my-colours", "version": "2.1"}
    with pytest.raises(ModelError, match=r"needs the colour 'blue' of the package my-colours 2\.1, which is not here"):
        colours().check_needed(needed)
    colours().check_needed(needed | {"name": "red"})


def test_the_one_class_of_a_module() -> None:
    module = ModuleType("m")
    with pytest.raises(ModelError, match="m must define one int, not 0"):
        only_class(module, int)
    module.Mine = type("Mine", (int,), {"__module__": "m"})  # type: ignore[attr-defined]
    module.Int = int  # type: ignore[attr-defined] - imported, not defined here
    assert only_class(module, int) is module.Mine  # type: ignore[attr-defined]


def test_groups() -> None:
    assert [plural("router"), plural("criterion")] == ["routers", "criteria"]
