"""Trainings on a mixture under transformers' `Trainer`, some killed and resumed; run by `test_trainer_callback.py`.

    python -m tests.suites.training.mixing.trained_mixture FOLDER

Writes FOLDER/found.json: what each training read, logged and ended with.
"""

import importlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainerCallback, TrainingArguments

from sparsebench.data.mixtures import Strategy, strategy
from sparsebench.models.moe import MoEConfig, convert
from sparsebench.suites.training.mixing.trainer_callback import DataMixingCallback, mixture_dataset

from ..forked import ran

NAMES = ("code", "law", "math")
LOW = {"code": 0, "law": 20, "math": 40}
"""The first token of each data set; each has twenty of its own."""
STEPS, INTERVAL = 14, 3


def rows(name: str, count: int) -> list[dict[str, Tensor]]:
    """Rows of 4 to 8 tokens."""
    draws = torch.Generator().manual_seed(LOW[name])
    found = []
    for _ in range(count):
        length = int(torch.randint(4, 9, (1,), generator=draws))
        tokens = torch.randint(LOW[name], LOW[name] + 20, (length,), generator=draws)
        found.append({"input_ids": tokens, "labels": tokens})
    return found


def collate(examples: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    def padded(key: str, value: int) -> Tensor:
        return torch.nn.utils.rnn.pad_sequence([example[key] for example in examples], True, value)

    ones = [torch.ones_like(example["input_ids"]) for example in examples]
    mask = torch.nn.utils.rnn.pad_sequence(ones, True, 0)
    return {"input_ids": padded("input_ids", 0), "labels": padded("labels", -100), "attention_mask": mask}


def mixture() -> Any:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=60, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4
    )
    return convert(LlamaForCausalLM(config), MoEConfig(num_experts=4, top_k=2, router_init="random"))


def arguments(folder: Path, **changes: Any) -> TrainingArguments:
    settings: dict[str, Any] = {
        "output_dir": str(folder),
        "per_device_train_batch_size": 2,
        "per_device_eval_batch_size": 4,
        "max_steps": STEPS,
        "logging_steps": 1,
        "save_steps": 4,
        "learning_rate": 0.01,
        "train_sampling_strategy": "sequential",
        "report_to": [],
        "disable_tqdm": True,
        "use_cpu": True,
        "seed": 0,
    }
    return TrainingArguments(**{**settings, **changes})


def trainer(folder: Path, mixing: Strategy, model: Any = None, **changes: Any) -> Trainer:
    given = arguments(folder, **changes)
    data: Any = mixture_dataset({name: rows(name, 12) for name in NAMES}, mixing, given, seed=1)
    return Trainer(model=model or mixture(), args=given, train_dataset=data, data_collator=collate)


def callback(made: Trainer, mixing: Strategy, **options: Any) -> DataMixingCallback:
    held_out = {name: rows(name, 30)[-6:] for name in mixing.names}
    return DataMixingCallback(made, mixing, held_out, **{"interval": INTERVAL, **options})


class Kill(TrainerCallback):
    """Ends the process like a power cut after a step."""

    def __init__(self, step: int | None) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **keywords: Any) -> None:
        if state.global_step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def trained(
    folder: Path, workers: int, kill: int | None = None, resume: bool = False, **changes: Any
) -> dict[str, Any]:
    mixing = strategy("gate_load", NAMES, eta=500.0)
    made = trainer(folder, mixing, dataloader_num_workers=workers, **changes)
    made.add_callback(callback(made, mixing))
    made.add_callback(Kill(kill))
    seen: list[Any] = []

    def note(module: Any, args: Any, keywords: Any) -> None:
        if module.training:
            seen.append(keywords["input_ids"].tolist())

    model: Any = made.model
    model.register_forward_pre_hook(note, with_kwargs=True)
    made.train(resume_from_checkpoint=resume)
    log = []
    for line in made.state.log_history:
        kept = ("loss", "mixing_weight/", "mixing_delta/", "mixing_cv2", "step")
        log.append({key: value for key, value in line.items() if key.startswith(kept)})
    weights = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    return {
        "seen": seen,
        "log": log,
        "weights": weights.tolist(),
        "overheads": [line["mixing_overhead"] for line in made.state.log_history if "mixing_overhead" in line],
    }


def main(folder: Path) -> None:
    importlib.import_module("torch._dynamo")  # the optimizers import it at their first step: once, before the forks
    torch.set_num_threads(1)
    found: dict[str, Any] = {}

    def run(name: str, work: Any) -> None:
        (found[f"{name} code"],), gave = ran(work, folder, 1)
        if gave:
            (found[name],) = gave

    for workers in (0, 2):
        place = folder / str(workers)
        run(f"{workers} whole", lambda workers=workers, place=place: trained(place / "whole", workers))
        run(f"{workers} killed", lambda workers=workers, place=place: trained(place / "parts", workers, kill=10))
        run(f"{workers} resumed", lambda workers=workers, place=place: trained(place / "parts", workers, resume=True))
    # The same rows in a step of two processes, and of one that accumulates.
    shared: dict[str, Any] = {"save_strategy": "no", "max_steps": 12, "optim": "sgd"}
    run("accumulated", lambda: trained(folder / "accumulated", 0, gradient_accumulation_steps=2, **shared))
    found["two code"], found["two"] = ran(
        lambda: trained(folder / "two", 0, ddp_find_unused_parameters=True, **shared), folder, 2
    )
    (folder / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
