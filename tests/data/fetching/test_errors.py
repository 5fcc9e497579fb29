"""What fetching says when it fails."""

from sparsebench.data import sources
from sparsebench.data.fetching.errors import failed


def test_one_line_with_the_first_reasons_and_advice():
    error = failed(sources.source("digits"), ["no\nroute", "refused", "third"], "do this")
    assert str(error) == "cannot download  1 for source 'digits': no route, refused; do this"
    assert "no reason given" in str(failed(sources.source("digits"), [], "do this"))
