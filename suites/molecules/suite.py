"""Constants of the molecules suite."""

from ..suite import Suite

SUITE = Suite(
    name="molecules",
    version="1",
    title="Molecules",
    description="Property prediction on scaffold splits: no scaffold of the test part was seen in training.",
    baseline="linear_probe",
    unit="molecule",
    libraries=("torch", "torch-geometric", "rdkit", "scikit-learn"),
)
