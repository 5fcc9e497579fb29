import pytest


@pytest.fixture
def records(make):
    """Builds the records of rows whose true means are given."""

    def build(means, seeds=3, noise=0.01, task="t", **fields):
        """One record per row and seed; the noise of a seed is shared by all rows, as data would be."""
        return [
            make.record(
                label,
                task,
                seed,
                cell={"suite": "llm", "backbone": "net"},
                metrics={"bits": make.metric(mean + noise * seed * (1 + i), higher_is_better=False, unit="bits/byte")},
                main_metric="bits",
                times={"total": 2.0},
                environment={"processor": "chip", "cores": 2},
                **fields,
            )
            for i, (label, mean) in enumerate(means.items())
            for seed in range(seeds)
        ]

    return build
