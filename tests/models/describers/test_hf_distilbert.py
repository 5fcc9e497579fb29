"""What holds for every text family is checked in `tests/models/zoo/test_text.py`."""

import torch
from transformers import DistilBertConfig, DistilBertForSequenceClassification

from sparsebench.models.anatomy import describe


def test_blocks_normalise_the_sums() -> None:
    config = DistilBertConfig(dim=16, hidden_dim=22, n_layers=2, n_heads=4, vocab_size=32)
    model = DistilBertForSequenceClassification(config).eval()
    anatomy = describe(model)
    block = anatomy.blocks[1]
    assert anatomy.width == 16 and anatomy.final_norm is None and block.post_norm
    assert anatomy.head is not None and anatomy.head.path == "classifier"
    assert [site.path for site in anatomy.further_heads] == ["pre_classifier"]
    mlp = block.mlp
    assert mlp is not None and mlp.up is not None and mlp.down is not None and mlp.activation is not None
    x = torch.randn(2, 5, 16)
    with torch.no_grad():
        sums = x + mlp.down.get()(mlp.activation(mlp.up.get()(x)))
        expected = block.norms[1].get()(sums)
        layer = block.site.get()
        torch.testing.assert_close(layer.output_layer_norm(layer.ffn(x) + x), expected)
