"""Constants of the vtab suite."""

from ..contracts.suite import Suite

SUITE = Suite(
    name="vtab",
    version="1",
    title="Vision (a stand-in for VTAB-1K)",
    description="1,000 labelled images a task, 800 + 200 to train and validate, fixed test part. Not VTAB-1K itself.",
    baseline="linear_probe",
    unit="image",
    libraries=("torch", "torchvision", "timm", "scikit-learn"),
    margins={"share": 0.01},
)
