"""Constants of the molecules suite."""

from ..contracts.suite import Suite

SUITE = Suite(
    name="molecules",
    version="2",
    title="Molecules",
    description=(
        "Property prediction on scaffold splits: no scaffold of the test part was seen in training. Molecules written "
        "by GraphsGPT: new ones, held-out ones from their own words, and ones with a wanted property or scaffold."
    ),
    baseline="linear_probe",
    unit="molecule",
    libraries=("torch", "torch-geometric", "rdkit", "scikit-learn", "transformers"),
    group_baselines={
        "generation": "dense",
        "reconstruction": "dense",
        "property control": "dense",
        "scaffolds": "dense",
        "generation smoke test": "dense",
    },
)
