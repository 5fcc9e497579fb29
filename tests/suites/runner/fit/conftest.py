"""Molecules of a user's, and a linear probe that was fitted on them in this process."""

from pathlib import Path

import pytest

RINGS = ("c1ccccc1", "C1CCCCC1", "c1ccncc1", "C1CCNCC1", "c1ccoc1", "c1ccsc1", "C1CCCC1", "C1CCOC1", "c1cc[nH]c1")


@pytest.fixture(scope="session")
def molecules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty-six molecules with the number of their atoms in the chain, and one row that is none."""
    file = tmp_path_factory.mktemp("mine") / "mine.csv"
    lines = [f"{number},{'C' * length}{ring},{length}.5" for number, ring in enumerate(RINGS) for length in range(1, 5)]
    file.write_text("ID,SMILES,size\n" + "\n".join([*lines, "99,nonsense,1"]) + "\n")
    return file


@pytest.fixture(scope="session")
def fitted(molecules: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a fitted row, without the comparison before it."""
    from dataclasses import asdict

    from sparsebench.reports.records.record import CellInfo
    from sparsebench.suites.contracts.budget import Budget
    from sparsebench.suites.contracts.context import Context
    from sparsebench.suites.methods.baselines.linear_probe import LinearProbe
    from sparsebench.suites.molecules.backbones import ecfp4
    from sparsebench.suites.molecules.tasks.own_molecules import OwnMolecules
    from sparsebench.suites.runner.fit.saved import Description, save

    folder = tmp_path_factory.mktemp("fitted")
    chosen = LinearProbe(penalties=(1.0,))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARSEBENCH_OWN_MOLECULES", str(molecules.parent))
        context = Context(suite="molecules", task="own_molecules", seed=0, budget=Budget(epochs=1, batch_size=8))
        task = OwnMolecules()
        _, subject = task.train_chosen([chosen], ecfp4.load, context)
        inputs = task.load().test.inputs
    cell = CellInfo(
        suite="molecules",
        suite_version="2",
        task="own_molecules",
        task_version="1",
        group="own",
        method="linear_probe",
        label="linear_probe",
        config=asdict(chosen),
        backbone="ecfp4",
        seed=0,
        budget={"epochs": 1, "batch_size": 8},
        dtype="float32",
    )
    about = Description(
        version="0",
        kind="molecules",
        cell=asdict(cell),
        goal="regression",
        classes=[],
        targets=["size"],
        input="SMILES",
        mean=subject.data.scale.mean.tolist(),
        std=subject.data.scale.std.tolist(),
    )
    save(about, subject, inputs, folder)
    return folder
