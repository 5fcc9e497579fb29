"""Constants of the molecules suite."""

from ..contracts.suite import Suite

SUITE = Suite(
    name="molecules",
    version="2",
    title="Molecules",
    description=(
        "Property prediction on scaffold splits: no scaffold of the test part was seen in training. Molecules written "
        "by GraphsGPT, and by a SMILES LSTM as baseline: new ones, held-out ones from their own words, and ones with a "
        "wanted property or scaffold. Latency is of the network alone: descriptors (some milliseconds), "
        "fingerprints and graphs are made before it; of a generator it is of reading a molecule, not of writing one."
    ),
    baseline="linear_probe",
    unit="molecule",
    libraries=("torch", "torch-geometric", "rdkit", "scikit-learn", "transformers"),
    group_baselines={
        "generation": "dense",
        "trained generation": "dense trained",
        "own generation": "dense trained",
        "reconstruction": "dense",
        "property control": "dense",
        "scaffolds": "dense",
        "generation smoke test": "dense",
    },
    # A third of what FreeSolv's authors state as the uncertainty of an experiment (0.6 kcal/mol), and a fifth of the
    # 0.5 log units by which laboratories differ in solubility.
    margins={"share": 0.01, "kcal/mol": 0.2, "log10(mol/L)": 0.1},
)
