import sys

import pytest

from sparsebench.models.errors import ModelError, check_choice, optional


def test_a_known_value_passes() -> None:
    check_choice("split", "random", ("random", "cluster"))


@pytest.mark.parametrize(("value", "hint"), [("clustr", "; did you mean 'cluster'?"), ("xyz", "")])
def test_an_unknown_value_names_all_and_the_nearest(value: str, hint: str) -> None:
    with pytest.raises(ModelError) as error:
        check_choice("split", value, ("random", "cluster"))
    assert str(error.value) == f"split={value!r} is not one of random, cluster{hint}"


def test_a_value_that_is_no_text() -> None:
    with pytest.raises(ModelError, match="split=3 is not one of"):
        check_choice("split", 3, ("random",))


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ModuleNotFoundError) as error, optional():
        import timm  # noqa: F401
    assert str(error.value) == "timm is not installed: pip install 'sparsebench[vision]'"
    with pytest.raises(ModuleNotFoundError, match="No module named 'no_such_package'"), optional():
        import no_such_package  # noqa: F401 # pyright: ignore[reportMissingImports]
    with pytest.raises(ImportError, match="cannot import name"), optional():
        from sys import no_such_name  # noqa: F401 # pyright: ignore[reportAttributeAccessIssue]
