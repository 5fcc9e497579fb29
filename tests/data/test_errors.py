"""Every error of this package is a `DataError`, and those of a wrong argument are a `ValueError` too."""

import pytest

from sparsebench.data import errors
from sparsebench.data.errors import DataError

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
WRONG_ARGUMENT = {
    errors.ManifestError,
    errors.UnknownSource,
    errors.TextFileError,
    errors.MixtureError,
    errors.MoleculeError,
    errors.TableError,
    errors.WeightsError,
}


@pytest.mark.parametrize("kind", KINDS)
def test_one_except_catches_all(kind: type[Exception]) -> None:
    with pytest.raises(DataError, match="what to do"):
        raise kind("what to do")
    assert issubclass(kind, ValueError) == (kind in WRONG_ARGUMENT)


def test_there_is_one_for_each_way_to_fail() -> None:
    assert len(KINDS) == 13


def test_what_others_say_is_one_line() -> None:
    assert errors.reason_of(ValueError("first\n  second\t third\n")) == "first second third"
    assert errors.reason_of(ValueError(" \n")) == "ValueError", "an error that says nothing names its class"
