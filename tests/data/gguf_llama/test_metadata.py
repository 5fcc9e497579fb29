"""What no Llama has is refused by name."""

import dataclasses
from pathlib import Path

import pytest

from sparsebench.data.errors import WeightsError
from sparsebench.data.gguf_llama import Head, read_head
from sparsebench.data.gguf_llama.metadata import check_tensors, expected_tensors, sizes


@pytest.fixture
def head(tiny_gguf: Path) -> Head:
    return read_head(tiny_gguf)


def test_a_whole_head(head: Head):
    found = sizes(head)
    assert (found.head_width, found.tied) == (8, False)
    assert set(expected_tensors(found)) == set(head.tensors)
    check_tensors(head, found)


BAD = {
    "llama.block_count": [0, -1, 2.0, True, "2", 1 << 40],
    "llama.attention.head_count": [3, 0, 32],
    "llama.attention.head_count_kv": [3, 8],
    "llama.embedding_length": [33, 1 << 30],
    "llama.vocab_size": [None, 1 << 31],
    "llama.attention.layer_norm_rms_epsilon": [0.0, float("nan"), float("inf"), -1e-6, 1, 5.0],
    "llama.rope.freq_base": [0.0, float("nan"), float("inf"), 1e30],
    "llama.rope.dimension_count": [16, "8"],
    "llama.rope.scaling.type": ["linear"],
    "llama.expert_count": [8],
    "llama.attention.key_length": [9],
    "general.architecture": ["qwen2", 5],
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in BAD.items() for value in values])
def test_metadata_that_no_llama_has(head: Head, key: str, value: object):
    with pytest.raises(WeightsError, match=r"^tiny\.gguf: ") as caught:
        sizes(dataclasses.replace(head, values=head.values | {key: value}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["llama.block_count", "general.architecture", "llama.rope.freq_base"])
def test_a_key_that_is_missing(head: Head, key: str):
    values = {name: value for name, value in head.values.items() if name != key}
    with pytest.raises(WeightsError, match=f"the key '{key}' is missing"):
        sizes(dataclasses.replace(head, values=values))


def test_tensors_that_are_missing_unknown_or_misshapen(head: Head):
    """Audit R15."""
    found = sizes(head)
    name = "blk.1.attn_k.weight"
    info = head.tensors[name]
    without = {key: value for key, value in head.tensors.items() if key != name}
    cases = {
        f"tensor '{name}' is missing": without,
        rf"tensor '{name}' has the shape \(32, 16\), not \(16, 32\)": without
        | {name: dataclasses.replace(info, shape=(32, 16))},
        "tensor 'rope_freqs.weight' is none of a Llama with 2 blocks": head.tensors | {"rope_freqs.weight": info},
        "tensor 'blk.2.attn_k.weight' is none of": head.tensors | {"blk.2.attn_k.weight": info},
        "tensor 'blk.0.attn_k.bias' is none of": head.tensors | {"blk.0.attn_k.bias": info},
    }
    for message, changed in cases.items():
        with pytest.raises(WeightsError, match=message):
            check_tensors(dataclasses.replace(head, tensors=changed), found)
