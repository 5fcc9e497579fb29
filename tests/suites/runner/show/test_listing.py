"""What `list` says."""

import pytest

from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.show.listing import list_document, list_text


def test_a_list_has_methods_and_what_the_suites_have() -> None:
    text = list_text(list_document(["vtab"]))
    assert "linear_probe" in text and "fashion_mnist" in text and "full, mini, own-images, photographs, quick" in text
    assert "freesolv" not in text
    methods = {method["name"] for method in list_document(["vtab"])["methods"]}
    assert "lora" in methods and not methods & {"dpo", "continual_pretraining", "few_shot"}
    assert {"dpo", "few_shot"} <= {method["name"] for method in list_document(["llm", "molecules"])["methods"]}
    with pytest.raises(UsageError, match="unknown suite 'vtap'"):
        list_document(["vtap"])


def test_kinds_by_themselves() -> None:
    listing = list_document(["vtab"], ["routers", "criteria"])
    text = list_text(listing)
    assert text.startswith("routers:\n    glu ") and "\n\ncriteria:\n" in text and "lora" not in text
    assert not listing["suites"] and not listing["splits"] and not listing["sources"]
    tasks = list_text(list_document(["vtab"], ["tasks"]))
    assert "fashion_mnist" in tasks and "backbones" not in tasks and "profiles" not in tasks
    sources = {source["name"]: source for source in list_document([], ["sources"])["sources"]}
    assert sources["digits"]["kind"] == "local" and "CC BY 4.0" in sources["digits"]["licence"]
    with pytest.raises(UsageError, match="nothing is listed under 'router'; did you mean routers"):
        list_document([], ["router"])
