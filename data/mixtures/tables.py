"""Published shares of data sets, and reference losses, by name."""

SLIMPAJAMA = ("commoncrawl", "c4", "github", "wikipedia", "books", "arxiv", "stackexchange")
"""The seven domains of SlimPajama and RedPajama."""

SHARES: dict[str, dict[str, float]] = {
    # Touvron et al. 2023 (arXiv 2302.13971, table 1), as LLaMA-MoE uses them (arXiv 2406.16554).
    "llama": dict(zip(SLIMPAJAMA, (0.67, 0.15, 0.045, 0.045, 0.045, 0.025, 0.02), strict=True)),
    # Where Sheared-LLaMA's dynamic loading ended (arXiv 2310.06694); LLaMA-MoE's final choice.
    "sheared-llama": dict(zip(SLIMPAJAMA, (0.361, 0.492, 0.008, 0.031, 0.091, 0.007, 0.01), strict=True)),
    # MoE-SFT (arXiv 2406.11256): the baseline by size, and where its dynamic runs ended.
    "moe-sft-sizes": {"sharegpt": 0.0176, "openorca": 0.8672, "math": 0.0786, "code": 0.0366},
    "moe-sft-final": {"sharegpt": 0.1798, "openorca": 0.2149, "math": 0.3202, "code": 0.2851},
    "moe-sft-final-molm": {"sharegpt": 0.2841, "openorca": 0.2351, "math": 0.2345, "code": 0.2463},
}
"""Static shares. LLaMA-MoE names its two "Static-LLaMA" and "Static-Sheared"."""

REFERENCE_LOSSES: dict[str, dict[str, float]] = {
    # LLaMA-2-7B on held-out SlimPajama, nats per token, from the settings that LLaMA-MoE released.
    "llama-2-7b": dict(zip(SLIMPAJAMA, (1.6917, 2.0749, 0.6984, 1.5899, 1.9252, 1.2408, 1.4975), strict=True)),
}
"""Reference losses of published models; measure your own for your own data."""
