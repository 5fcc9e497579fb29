"""Every layout has a file that builds its models."""

import pytest

from sparsebench.models.errors import ModelError
from sparsebench.models.official.layouts import build_of
from sparsebench.models.official.recognition import LAYOUTS


def test_every_layout_has_its_file() -> None:
    for name in LAYOUTS:
        assert build_of(name).__module__ == f"sparsebench.models.official.{name}"


def test_a_layout_that_there_is_not() -> None:
    with pytest.raises(ModelError, match="did you mean 'llama_moe_v2'"):
        build_of("llama_moe_v3")
