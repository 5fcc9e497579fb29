"""What `list` says."""

import pytest

from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.listing import list_document, list_text


def test_a_list_has_methods_and_what_the_suites_have() -> None:
    text = list_text(list_document(["vtab"]))
    assert "linear_probe" in text and "fashion_mnist" in text and "full, mini, own-images, quick, smoke" in text
    assert "freesolv" not in text
    with pytest.raises(UsageError, match="unknown suite 'vtap'"):
        list_document(["vtap"])
