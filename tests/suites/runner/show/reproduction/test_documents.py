"""`reproduce --json` is read by its schema, for one table and for all."""

import json

from sparsebench.suites.runner.show.reproduction import documents
from sparsebench.suites.runner.show.reproduction.describe import reproduce_document
from sparsebench.suites.runner.show.reproduction.documents import ReproduceDocument
from sparsebench.suites.runner.show.reproduction.plan import plans

from ...test_documents import check


def test_all_tables_are_read_by_their_schema() -> None:
    document = reproduce_document(plans().plans)
    check(json.loads(json.dumps(document, allow_nan=False)), ReproduceDocument)
    assert [table["id"] for table in document["tables"]] == list(plans().plans)


def test_every_document_is_explained() -> None:
    for name, kind in vars(documents).items():
        if name.endswith("Document"):
            assert kind.__doc__, name
