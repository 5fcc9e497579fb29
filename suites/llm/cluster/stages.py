"""Runs a recipe: a converted model on disk, then stage after stage under transformers' `Trainer`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from sparsebench.data.text.windows import Tokenizer
from sparsebench.models.loss_scale import scaled_losses
from sparsebench.models.moe import convert, export, preset
from sparsebench.models.moe.hf_trainer.sharded_loading import load_sharded

from ..language.pretrained import check_config
from ..language.task import CausalLM
from ..training.task import check_vocabulary
from .plan import trained
from .recipe import Recipe, Stage
from .rows import ConversationRows, TextRows, isolate, stacked

CALIBRATION = 64
"""Rows that a conversion looks at, where its preset looks at any."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A recipe with what the user has: a folder for the results, and one with the data of each stage.

    `data` has a folder named after each stage: text files in one folder for each domain, or .jsonl conversations.
    `experts_over`: processes over which the experts are shared out; above 1 the model is exported as a stock one.
    """

    recipe: Recipe
    out: Path
    data: Path
    experts_over: int = 1
    repeat: bool = False
    """Text that is used up begins again."""
    save_steps: int = 200
    log_steps: int = 10

    @property
    def start(self) -> Path:
        """Where the converted model lies."""
        return self.out / "start"

    def folder(self, stage: Stage) -> Path:
        """Checkpoints of a stage; its last weights are in `final` below."""
        return self.out / f"{self.recipe.stages.index(stage) + 1} {stage.name}"


def prepare(run: Run, model: str | Path, name: str | None = None) -> None:
    """Convert a dense model into `run.start`, with its tokenizer, in one process. What lies there is kept.

    Raises ValueError for a model of another shape than the recipe's or with the tokenizer of another vocabulary, and
    `ModelError` for what cannot be converted and for a configuration that transformers does not heed in full.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if run.start.exists():
        return
    check_config(str(model))
    tokenizer = AutoTokenizer.from_pretrained(model)
    dense: Any = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    for field, value in run.recipe.shape.items():
        if getattr(dense.config, field) != value:
            raise ValueError(f"{model}: {field} is {getattr(dense.config, field)}, the recipe is for {value}")
    check_vocabulary(CausalLM(dense, tokenizer))
    config = preset(name or run.recipe.presets[0])
    batches = None
    if config.needs:
        rows = iter(_rows(run, run.recipe.stages[0], tokenizer))
        batches = [_calibration(next(rows)) for _ in range(CALIBRATION)]
    converted = convert(dense, config, batches)
    if run.experts_over > 1:
        export(converted, run.start, tokenizer=tokenizer)
    else:
        converted.save_pretrained(run.start)
        tokenizer.save_pretrained(run.start)


def _calibration(row: dict[str, Any]) -> dict[str, Any]:
    batch = stacked([row])
    return isolate(None, (), batch)[1]


def train(run: Run, stage: Stage) -> None:
    """One stage, in every process that `torchrun` started; goes on from its last checkpoint. One that ended is kept.

    Where the experts are shared out, checkpoints hold weights alone (see `load_sharded`), and a stage that was stopped
    begins again. Raises ValueError for another number of processes than the recipe has GPUs, and where there is nothing
    to start from; FloatingPointError for a loss that is not finite.
    """
    from accelerate import PartialState
    from transformers import AutoTokenizer, Trainer
    from transformers.trainer_utils import get_last_checkpoint

    from sparsebench.models.moe.hf_trainer.balance_callback import BalanceLossCallback
    from sparsebench.models.moe.hf_trainer.health_callback import RouterHealthCallback

    folder = run.folder(stage)
    final = folder / "final"
    if final.exists():
        return
    state = PartialState(cpu=not torch.cuda.is_available())
    if state.num_processes != run.recipe.gpus:
        raise ValueError(
            f"the recipe is for {run.recipe.gpus} GPUs, and {state.num_processes} processes were started: "
            f"torchrun --nproc-per-node {run.recipe.gpus} ..."
        )
    model = _load(run, stage)
    tokenizer = AutoTokenizer.from_pretrained(run.start)
    model.register_forward_pre_hook(isolate, with_kwargs=True)
    balance = BalanceLossCallback(_coefficient(run))
    trainer = Trainer(
        model=model,
        args=arguments(run, stage),
        train_dataset=_rows(run, stage, tokenizer),
        data_collator=stacked,  # pyright: ignore[reportArgumentType]
        processing_class=tokenizer,
        callbacks=[balance, FiniteLoss()],
    )
    trainer.add_callback(RouterHealthCallback(trainer, every=run.log_steps))
    last = get_last_checkpoint(str(folder)) if folder.exists() else None
    with scaled_losses(1.0):  # whose end takes back what the callback has set, also of a training that breaks off
        trainer.train(resume_from_checkpoint=last)
    trainer.save_model(str(folder / "unfinished"))
    state.wait_for_everyone()
    if state.is_main_process:
        (folder / "unfinished").rename(final)
    state.wait_for_everyone()


def arguments(run: Run, stage: Stage) -> Any:
    """What `Trainer` is told of a stage."""
    from transformers import TrainingArguments

    recipe = run.recipe
    settings: dict[str, Any] = {"activation_checkpointing": True}
    if recipe.gpus > 1 and run.experts_over == 1:
        settings = {"fsdp": True, "fsdp_config": {"version": 2, "activation_checkpointing": True}}
    if run.experts_over > 1:
        settings["save_only_model"] = True
    if stage.schedule == "cosine_with_min_lr":
        settings["lr_scheduler_kwargs"] = {"min_lr_rate": stage.least_rate}
    return TrainingArguments(
        output_dir=str(run.folder(stage)),
        max_steps=recipe.steps(stage),
        per_device_train_batch_size=recipe.micro_batch,
        gradient_accumulation_steps=recipe.accumulation(stage),
        learning_rate=stage.learning_rate,
        lr_scheduler_type=stage.schedule,
        warmup_steps=stage.warmup,
        optim=recipe.optimizer,
        adam_beta1=stage.betas[0],
        adam_beta2=stage.betas[1],
        weight_decay=stage.weight_decay,
        max_grad_norm=stage.clip,
        bf16=True,
        use_cpu=not torch.cuda.is_available(),
        # Each process reads all rows and keeps its own: a batch need not travel, and the next one is made meanwhile.
        accelerator_config={"dispatch_batches": False},
        remove_unused_columns=False,
        include_num_input_tokens_seen="all",
        logging_steps=run.log_steps,
        logging_nan_inf_filter=False,
        save_steps=run.save_steps,
        save_total_limit=2,
        report_to=[],
        disable_tqdm=True,
        **settings,
    )


def _load(run: Run, stage: Stage) -> nn.Module:
    """The weights that the stage before this one left, or those of the conversion."""
    from transformers import AutoModelForCausalLM

    before = run.recipe.stages[: run.recipe.stages.index(stage)]
    source = run.folder(before[-1]) / "final" if before else run.start
    if not source.exists():
        raise ValueError(f"{source} is not there: convert the model, and train the stages in their order")
    if run.experts_over > 1:
        model = load_sharded(source, fsdp_size=run.recipe.gpus, ep_size=run.experts_over, dtype=torch.float32)
    else:
        model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    keep = {id(parameter) for parameter in trained(model, run.recipe)}
    for parameter in model.parameters():
        if id(parameter) not in keep:
            parameter.requires_grad_(False)
            parameter.data = parameter.data.to(torch.bfloat16)
    return model


def _coefficient(run: Run) -> float | None:
    """The factor of the balance loss: a converted model knows its own."""
    if run.experts_over == 1:
        return None
    return preset(run.recipe.presets[0]).balance_coef


def _rows(run: Run, stage: Stage, tokenizer: Tokenizer) -> TextRows | ConversationRows:
    folder = run.data / stage.name
    if stage.data == "text":
        return TextRows(folder, tokenizer, run.recipe.length, stage.weights, run.repeat)
    return ConversationRows(folder, tokenizer, run.recipe.length)


class FiniteLoss(TrainerCallback):
    """Raises FloatingPointError at the first line of the log whose loss or norm of the gradient is not finite.

    It is the same line in all processes, so that all end. The arguments need `logging_nan_inf_filter=False`: else
    `Trainer` writes the mean of the steps before in the place of what is not finite, and trains on.
    """

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **keywords: Any,
    ) -> None:
        """Look at the line. Raises FloatingPointError for a number that is not finite."""
        for name in ("loss", "grad_norm"):
            value = (logs or {}).get(name)
            if value is not None and not math.isfinite(value):
                raise FloatingPointError(
                    f"{name} is {value} at step {state.global_step}: lower the learning rate, or look for rows of the "
                    "last steps that the model cannot read; the checkpoints before it are whole"
                )
