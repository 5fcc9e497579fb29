"""What holds for every text family is checked in `tests/models/zoo/test_text.py`."""

import pytest
from transformers import T5Config, T5EncoderModel, T5ForConditionalGeneration, T5ForQuestionAnswering

from sparsebench.models.anatomy import describe
from sparsebench.models.errors import ModelError
from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.conversion.convert import convert


def sizes(**extra: object) -> T5Config:
    values = {"d_model": 16, "d_kv": 3, "d_ff": 22, "num_layers": 2, "num_heads": 4, "vocab_size": 32}
    return T5Config(**(values | extra))


def test_blocks_of_the_decoder_follow_those_of_the_encoder() -> None:
    anatomy = describe(T5ForConditionalGeneration(sizes(num_decoder_layers=3)))
    assert [block.site.path for block in anatomy.blocks] == [
        *(f"encoder.block.{place}" for place in range(2)),
        *(f"decoder.block.{place}" for place in range(3)),
    ]
    assert [block.index for block in anatomy.blocks] == list(range(5))
    assert [len(block.linears) for block in anatomy.blocks] == [6, 6, 10, 10, 10]
    attention = anatomy.blocks[0].attention
    assert attention is not None and (attention.num_heads, attention.head_dim) == (4, 3)
    assert anatomy.final_norm is not None and anatomy.final_norm.path == "decoder.final_layer_norm"


def test_heads_of_models_that_hold_both_stacks() -> None:
    paths = {}
    for cls in (T5ForConditionalGeneration, T5ForQuestionAnswering, T5EncoderModel):
        head = describe(cls(sizes())).head
        paths[cls] = None if head is None else head.path
    assert list(paths.values()) == ["lm_head", "qa_outputs", None]


def test_dropout_within_the_ffn_is_refused() -> None:
    with pytest.raises(ModelError, match="has dropout inside the FFN"):
        convert(T5EncoderModel(sizes(dropout_rate=0.1)), MoEConfig(num_experts=4, top_k=2))
