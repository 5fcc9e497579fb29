"""Constants of the llm suite."""

from ..contracts.suite import Suite

SUITE = Suite(
    name="llm",
    version="1",
    title="Language models",
    description="Bits per byte on held-out text of several domains, zero-shot accuracy, and text tasks that train.",
    baseline="dense",
    unit="token",
    libraries=("torch", "transformers", "tokenizers", "lm-eval"),
    group_baselines={
        "text": "linear_probe",
        "own conversations": "constant (not trained)",
        "trained multiple choice": "dense",
        "continual pre-training": "dense trained",
        "deployment": "not compressed",
    },
    margins={"share": 0.01, "bits/byte": 0.01},
)
