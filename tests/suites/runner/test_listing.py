"""What `list` and `show` say."""

import pytest

from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.listing import describe, list_document, list_text


def test_a_list_has_methods_and_what_the_suites_have() -> None:
    text = list_text(list_document(["vtab"]))
    assert "linear_probe" in text and "fashion_mnist" in text and "profiles: full, quick, smoke" in text
    assert "freesolv" not in text
    with pytest.raises(UsageError, match="unknown suite 'vtap'"):
        list_document(["vtap"])


def test_what_is_shown_of_a_method_a_task_and_a_source() -> None:
    assert "learning_rate = " in describe("lora")
    assert "data: digits" in describe("digits") and "fingerprint:" in describe("digits")
    assert "tasks:" in describe("llm")


def test_a_chain_shows_each_of_its_methods() -> None:
    text = describe("neuron_pruning+cmoe")
    assert "keep = 0.8" in text and "num_shared = 3" in text
    with pytest.raises(UsageError, match=r"unknown method 'cmeo'.*did you mean"):
        describe("neuron_pruning+cmeo")
