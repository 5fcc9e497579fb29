import pytest

from sparsebench.models.errors import ModelError, check_choice


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
