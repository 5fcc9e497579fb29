from sparsebench.models.moe.stock_export.sigmoid import DOTS1, GLM4_MOE


def test_sigmoid_scores_are_what_they_are_for(source) -> None:
    assert GLM4_MOE.fits(source(score="sigmoid").features) and not GLM4_MOE.fits(source().features)
    with_norms = source("qwen3", score="sigmoid").features
    assert GLM4_MOE.fits(with_norms) and DOTS1.fits(with_norms)
    assert not DOTS1.fits(source(score="sigmoid").features)  # it always norms queries and keys


def test_the_shared_block_is_whole_experts_wide(source) -> None:
    """Experts of 8 neurons, zero ones included."""
    assert GLM4_MOE.widths(source(score="sigmoid")) == (8, 8)
    found = source(score="sigmoid", num_shared=2)  # 14 neurons
    assert GLM4_MOE.widths(found) == (8, 16)
    config = GLM4_MOE.config(found, (8, 16))
    assert config["n_shared_experts"] == 2 and config["n_routed_experts"] == 6
    assert config["use_qk_norm"] is False and config["rope_parameters"]["partial_rotary_factor"] == 1.0


def test_dense_blocks_come_first(source) -> None:
    assert GLM4_MOE.config(source(score="sigmoid", layers=(1,)), (8, 8))["first_k_dense_replace"] == 1
    assert not GLM4_MOE.fits(source(score="sigmoid", layers=(0,)).features)
