from sparsebench.models.moe.stock_export.choice import STOCK
from sparsebench.models.moe.stock_export.granite import GRANITE_MOE
from sparsebench.models.moe.stock_export.mixture import Mixture
from sparsebench.models.moe.stock_export.qwen import QWEN2_MOE
from sparsebench.models.moe.stock_export.source import Source

from ...foreign_engines.exports import CASES, GRANITE


def test_configuration(source) -> None:
    found = source(num_shared=1)
    widths = GRANITE_MOE.widths(found)
    assert widths == (8, 8)
    config = GRANITE_MOE.config(found, widths)
    assert config["num_local_experts"] == 7 and config["shared_intermediate_size"] == 8
    assert config["attention_multiplier"] == 8**-0.5 and not config["attention_bias"]


def test_multipliers_of_granite_itself(source) -> None:
    found = Source.of(CASES["Granite, shared"].model())
    config = GRANITE_MOE.config(found, GRANITE_MOE.widths(found))
    assert {name: config[name] for name in GRANITE} == GRANITE
    assert GRANITE_MOE.config(source(), (8, 0))["embedding_multiplier"] == 1


def test_without_a_shared_block_nothing_is_written_for_one(source) -> None:
    found = GRANITE_MOE.mixture(Mixture.of(source().mixtures[0], (8, 0)))
    assert sorted(found) == [
        "block_sparse_moe.experts.down_proj",
        "block_sparse_moe.experts.gate_up_proj",
        "block_sparse_moe.router.weight",
    ]


def test_biases_of_queries_keys_and_values_alone(source) -> None:
    """The output projection gets a bias of zeros; Granite is written before Qwen2-MoE."""
    found = source("qwen2")
    assert GRANITE_MOE.fits(found.features) and STOCK.index(GRANITE_MOE) < STOCK.index(QWEN2_MOE)
    assert GRANITE_MOE.config(found, (8, 0))["attention_bias"]
    state = found.kept()
    added = GRANITE_MOE.rest(found, state)
    assert added.keys() - state.keys() == {f"model.layers.{index}.self_attn.o_proj.bias" for index in range(2)}
    assert not any(added[name].any() for name in added.keys() - state.keys())
