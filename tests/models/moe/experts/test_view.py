"""One view of experts in a bank, for a mixture of a dense model and for a MoLM."""

import torch
import transformers

from sparsebench.models.anatomy import describe
from sparsebench.models.moe import MoEConfig, convert
from sparsebench.models.moe.experts.view import banked
from sparsebench.models.moe.layer import MoEFFN


def test_what_is_said_of_a_bank() -> None:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2, "num_key_value_heads": 2}
    config = transformers.LlamaConfig(num_hidden_layers=1, vocab_size=32, **sizes)  # type: ignore[arg-type]
    model = convert(transformers.LlamaForCausalLM(config), MoEConfig(num_experts=4, num_shared=1, top_k=2))
    (layer,) = (module for module in model.modules() if isinstance(module, MoEFFN))
    said = banked(layer)
    assert (said["num_experts"], said["top_k"], said["table"]) == (3, 2, None)
    assert said["bank"] is layer.experts and said["holders"] == (layer.router,)
    mlp = describe(model).blocks[0].mlp
    assert mlp is not None and mlp.experts is not None
    assert (mlp.kind, mlp.width, mlp.hidden, mlp.returns_tuple) == ("moe", 16, 6, False)
    assert [site.get() is row.get() for site, row in zip(mlp.experts.rows, said["rows"], strict=True)] == [True]
