"""Runs tiny recipes by the command line's own functions, whole, killed and going on, in one and in two processes.

    python -m tests.suites.llm.cluster.runs FOLDER

`conftest.py` runs this file once. Writes FOLDER/codes.json: how each ended. Processes are forked, so that torch is
imported once.
"""

import importlib
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml

from sparsebench.models.moe.hf_trainer.health_callback import RouterHealthCallback
from sparsebench.suites.llm.cluster.recipe import read_recipe
from sparsebench.suites.llm.cluster.stages import Run, prepare, train

from ....gloo import together
from .tiny import recipe, write_conversations, write_model, write_texts

EARLY = (
    "torch._dynamo",  # by the optimizers at their first step
    "torch.distributed.checkpoint.state_dict",
    "transformers.trainer",
    "transformers.models.llama.modeling_llama",
    "transformers.models.mixtral.modeling_mixtral",
    "transformers.distributed.expert_parallel",
    "accelerate.utils.fsdp_utils",
)
"""What is imported while models load and train: once, before the forks."""
CASES: dict[str, dict[str, Any]] = {
    "one": {"gpus": 1, "data": "text", "preset": "llama_moe_v1_4of16"},
    "mixtures": {
        "gpus": 1,
        "data": "conversations",
        "preset": "v2_1p7top1",
        "stages": 2,
        "train": "mixtures",
        "optimizer": "adafactor",
    },
    "two": {"gpus": 2, "data": "text", "preset": "llama_moe_v1_4of16"},
    "experts": {"gpus": 2, "data": "conversations", "preset": "llama_moe_v2_8top2"},
}
GOES_ON = ("one", "two")


def run_of(folder: Path, case: str, place: str) -> Run:
    file = folder / f"{case}.yaml"
    if not file.exists():
        file.write_text(yaml.safe_dump(recipe(**CASES[case])))
    return Run(
        recipe=read_recipe(file),
        out=folder / f"{case}, {place}",
        data=folder / CASES[case]["data"],
        experts_over=2 if case == "experts" else 1,
        save_steps=1,
        log_steps=1,
    )


def stages(run: Run, kill: bool) -> None:
    """All stages; with `kill`, until the third step of the first begins."""
    if kill:
        begins = RouterHealthCallback.on_step_begin

        def killed(self: Any, args: Any, state: Any, control: Any, **keywords: Any) -> None:
            if state.global_step == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            begins(self, args, state, control, **keywords)

        RouterHealthCallback.on_step_begin = killed
    for stage in run.recipe.stages:
        train(run, stage)


def seeded(work: Callable[[], None]) -> Callable[[], None]:
    """`work` from the same random state."""

    def whole() -> None:
        torch.manual_seed(7)
        work()

    return whole


def main(folder: Path) -> None:
    for name in EARLY:
        importlib.import_module(name)
    torch.set_num_threads(1)
    write_model(folder / "dense")
    for name in ("first", "second"):
        write_texts(folder / "text" / name)
        write_conversations(folder / "conversations" / name)
    codes: dict[str, list[int | None]] = {}
    for case, settings in CASES.items():
        whole = run_of(folder, case, "whole")
        codes[f"{case}, conversion"] = together(seeded(lambda whole=whole: prepare(whole, folder / "dense")), 1)
        codes[case] = together(seeded(lambda whole=whole: stages(whole, False)), settings["gpus"])
        if case in GOES_ON:
            parts = run_of(folder, case, "parts")
            parts.out.mkdir()
            parts.start.symlink_to(whole.start)
            codes[f"{case}, killed"] = together(seeded(lambda parts=parts: stages(parts, True)), settings["gpus"])
            codes[f"{case}, going on"] = together(seeded(lambda parts=parts: stages(parts, False)), settings["gpus"])
    (folder / "codes.json").write_text(json.dumps(codes))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
