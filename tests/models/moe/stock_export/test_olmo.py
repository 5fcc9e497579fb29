from sparsebench.models.moe.stock_export.olmo import FLEX_OLMO
from sparsebench.models.moe.stock_export.source import Source

from ...foreign_engines.exports import CASES


def test_it_is_for_olmo2_alone(source) -> None:
    found = Source.of(CASES["OLMo 2, not renormalised, all biases"].model())
    assert FLEX_OLMO.fits(found.features)
    assert not FLEX_OLMO.fits(source().features) and not FLEX_OLMO.fits(source("qwen3").features)
    widths = FLEX_OLMO.widths(found)
    assert widths == (32, 0)
    config = FLEX_OLMO.config(found, widths)
    assert config["norm_topk_prob"] is False and config["attention_bias"] is True and config["num_experts"] == 4
