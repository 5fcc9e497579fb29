"""Which training an argument means."""

from types import ModuleType

import pytest
import torch

from sparsebench.data.cache import sha256_of
from sparsebench.suites.llm.backbones import scratch_mixture, scratch_twin
from sparsebench.suites.llm.small_models import llama
from sparsebench.suites.llm.small_models.trainings import training


def test_an_argument_is_the_number_of_a_training() -> None:
    digests = {0: "ab", 2: "cd"}
    assert training("net", None, digests) == (0, "ab")
    assert training("net", "2", digests) == (2, "cd")
    for argument in ("1", "two", "-0", "00"):
        with pytest.raises(ValueError, match=f"^net:{argument}: no such training .* those that do: 0, 2$"):
            training("net", argument, digests)
    with pytest.raises(ValueError, match=r"net:0: .*: none$"):
        training("net", None, {})


@pytest.mark.parametrize("card", [scratch_mixture, scratch_twin])
def test_what_is_shipped_is_there_and_nothing_else_is_given(card: ModuleType) -> None:
    name = card.__name__.rpartition(".")[2]
    files = {path.name for path in llama.WEIGHTS.glob(f"{name}_*")}
    assert files == {f"{name}_{number}.safetensors" for number in card.SHA256}
    for number, digest in card.SHA256.items():
        assert sha256_of(llama.WEIGHTS / f"{name}_{number}.safetensors") == digest
    with pytest.raises(ValueError, match=f"{name}:99: no such training"):
        card.load(torch.Generator(), "99")


def test_a_training_is_loaded_by_its_number() -> None:
    loaded = scratch_mixture.load(torch.Generator(), "0")
    ids = torch.tensor([loaded.tokenizer("the house ")["input_ids"]])
    with torch.no_grad():
        logits = loaded.model(input_ids=ids).logits
    # A model that has learnt something of English expects a letter here, and not any of 257 tokens.
    assert logits[0, -1].float().softmax(-1).max() > 0.05
