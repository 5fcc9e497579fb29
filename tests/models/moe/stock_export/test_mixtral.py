from sparsebench.models.moe.stock_export.mixtral import MIXTRAL


def test_configuration(source) -> None:
    found = source(num_experts=4, top_k=2)
    widths = MIXTRAL.widths(found)
    assert widths == (16, 0)  # 13 and 12 neurons, filled up to a multiple of 8
    assert MIXTRAL.config(found, widths) == {
        "intermediate_size": 16,
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
        "sliding_window": None,
    }
    windowed = source("mistral")
    assert MIXTRAL.config(windowed, (8, 0))["sliding_window"] == windowed.model.config.sliding_window


def test_what_it_has(source) -> None:
    assert MIXTRAL.fits(source().features) and MIXTRAL.fits(source("mistral").features)
    assert not MIXTRAL.fits(source(num_shared=1).features) and not MIXTRAL.fits(source("qwen3").features)
