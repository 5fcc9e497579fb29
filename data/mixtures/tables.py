"""Published shares of data sets, and reference losses, by name."""

SLIMPAJAMA = ("commoncrawl", "c4", "github", "wikipedia", "books", "arxiv", "stackexchange")
"""The seven domains of SlimPajama and RedPajama."""

MOE_SFT = ("code", "math", "orca", "sharegpt")
"""The four data sets of MoE-SFT: code instructions, MathInstruct, OpenOrca, ShareGPT."""

SHARES: dict[str, dict[str, float]] = {
    # Touvron et al. 2023 (arXiv 2302.13971, table 1), as LLaMA-MoE uses them (arXiv 2406.16554).
    "llama": dict(zip(SLIMPAJAMA, (0.67, 0.15, 0.045, 0.045, 0.045, 0.025, 0.02), strict=True)),
    # Where Sheared-LLaMA's dynamic loading ended (arXiv 2310.06694); LLaMA-MoE's final choice.
    "sheared-llama": dict(zip(SLIMPAJAMA, (0.361, 0.492, 0.008, 0.031, 0.091, 0.007, 0.01), strict=True)),
    # MoE-SFT (arXiv 2406.11256), its released settings: by size, two static starts, the end of the dynamic run.
    "moe-sft-sizes": dict(zip(MOE_SFT, (0.03658232, 0.07860043, 0.86719935, 0.01761791), strict=True)),
    "moe-sft-gate-load": dict(zip(MOE_SFT, (0.24664808, 0.31725317, 0.22705123, 0.20904752), strict=True)),
    "moe-sft-sentence-embeddings": dict(zip(MOE_SFT, (0.24472785, 0.2532278, 0.2500919, 0.25195244), strict=True)),
    "moe-sft-final": dict(zip(MOE_SFT, (0.2850663, 0.32022977, 0.21494599, 0.17975794), strict=True)),
}
"""Static shares. LLaMA-MoE names its two "Static-LLaMA" and "Static-Sheared"."""

REFERENCE_LOSSES: dict[str, dict[str, float]] = {
    # LLaMA-2-7B on held-out SlimPajama, from the settings that LLaMA-MoE released.
    "llama-2-7b": {
        "commoncrawl": 1.6916865110397339,
        "c4": 2.074881076812744,
        "github": 0.6984495520591736,
        "wikipedia": 1.5899001359939575,
        "books": 1.925248146057129,
        "arxiv": 1.2408167123794556,
        "stackexchange": 1.4974864721298218,
    },
}
"""Reference losses of published models, in nats per token; measure your own for your own data."""
