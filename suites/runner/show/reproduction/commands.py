"""The commands that make a table again, as one would type them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from .needs import IMPOSSIBLE, needs_of
from .plan import Plan

CLUSTER = "sparsebench.suites.llm.cluster"
FOLDER = "checkpoints"
"""Where the commands put what they download; any other place will do."""


def commands(name: str, plan: Plan) -> list[str]:
    """One a line: what fetches, plans and runs; and what asks the same at a small size.

    Args:
        name: the table.
        plan: its plan.

    Returns:
        The lines, for a shell.
    """
    found: list[str] = []
    if needs_of(plan).state != IMPOSSIBLE:
        found += _of_recipe(plan) if plan.recipe else _of_profile(name, plan)
    if plan.nearest:
        found.append(f"sparsebench run --profile {plan.nearest}  # asks the same at a size that runs here")
    return found


def place(plan: Plan, checkpoint: str) -> str:
    """Where the commands expect a checkpoint: a folder, a file of weights, or the hub itself."""
    name = checkpoint.rpartition("/")[2]
    if plan.layout:
        return f"{FOLDER}/{name}"
    if checkpoint.endswith(".npz"):
        return f"{FOLDER}/{name}"
    return checkpoint if plan.backbone.startswith("hf:") else f"{FOLDER}/{name}/model.safetensors"


def _of_profile(name: str, plan: Plan) -> Iterator[str]:
    for checkpoint in plan.checkpoints.values():
        if plan.layout:
            yield shlex.join(["sparsebench", "import", checkpoint, place(plan, checkpoint)])
    chosen = ["--profile", plan.profile]
    for task in plan.tasks:
        chosen += ["--task", task]
    for method in plan.methods:
        chosen += ["--method", method]
    yield shlex.join(["sparsebench", plan.suite, "plan", *chosen]) + "  # its cells"
    given: list[str] = []
    for row, checkpoint in plan.checkpoints.items():
        given += ["--checkpoint", f"{row}={place(plan, checkpoint)}"]
    if plan.data:
        given += ["--data", plan.data]
    yield shlex.join(["sparsebench", "reproduce", name, *(given or ["--run"])])
    if plan.stand_in is not None:
        data = ["--data", plan.data] if plan.data else []
        yield shlex.join(["sparsebench", "reproduce", name, "--stand-in", *data]) + "  # the path, with a small model"


def _of_recipe(plan: Plan) -> Iterator[str]:
    from ....llm.cluster.recipe import read_recipe

    gpus = read_recipe(plan.recipe).gpus
    files = ["--data", "texts", "--out", "out"]
    preset = ["--preset", plan.preset]
    yield shlex.join(["python", "-m", CLUSTER, "plan", plan.recipe, *preset])
    yield shlex.join(["python", "-m", CLUSTER, "convert", plan.recipe, "--model", "dense", *files, *preset])
    yield shlex.join(["torchrun", "--nproc-per-node", str(gpus), "-m", CLUSTER, "train", plan.recipe, *files])
