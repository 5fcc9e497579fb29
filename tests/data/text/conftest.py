"""A text domain made by the tests."""

from collections.abc import Iterator

import pytest

from sparsebench.data.text import domains
from sparsebench.data.text.halves import halves


@pytest.fixture
def pets(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A domain of 200 groups, each with two documents, and one document that many groups share."""

    def read():
        for group in range(200):
            yield str(group), f"first of {group}\n\nmore"
            yield str(group), f"second of {group}"
            yield str(group), " shared "

    monkeypatch.setitem(domains.READERS, "pets", ("demo", read))
    yield "pets"
    halves.cache_clear()
