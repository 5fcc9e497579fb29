"""A real `Trainer` on a tiny model, padded batches of unequal lengths, and the same steps in a loop of ten lines."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import Trainer, TrainerCallback, TrainingArguments

STEPS = 4
MICRO = 2
RATE = 0.05


HELD_OUT = 63
"""First token of the texts for evaluation, which go through the same collator."""


def rows(count: int = 24) -> list[dict[str, Tensor]]:
    """Texts of 3 to 9 tokens; of some, the first half has no label."""
    draws = torch.Generator().manual_seed(3)
    found = []
    for number in range(count):
        length = int(torch.randint(3, 10, (1,), generator=draws))
        tokens = torch.randint(3, HELD_OUT, (length,), generator=draws)
        labels = tokens.clone()
        if number % 3 == 0:
            labels[: length // 2] = -100
        found.append({"input_ids": tokens, "labels": labels})
    return found


def held_out() -> list[dict[str, Tensor]]:
    tokens = torch.full((6,), HELD_OUT)
    return [{"input_ids": tokens, "labels": tokens}] * 5


class Collator:
    """Pads on the right, and keeps the batches of the training in their order."""

    def __init__(self) -> None:
        self.batches: list[dict[str, Tensor]] = []

    def __call__(self, examples: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
        length = max(len(example["input_ids"]) for example in examples)
        batch = {"input_ids": [], "labels": [], "attention_mask": []}
        for example in examples:
            missing = length - len(example["input_ids"])
            batch["input_ids"].append(F.pad(example["input_ids"], (0, missing)))
            batch["labels"].append(F.pad(example["labels"], (0, missing), value=-100))
            batch["attention_mask"].append(F.pad(torch.ones_like(example["input_ids"]), (0, missing)))
        stacked = {name: torch.stack(values) for name, values in batch.items()}
        if stacked["input_ids"][0, 0] != HELD_OUT:
            self.batches.append(stacked)
        return dict(stacked)


class Gradients(TrainerCallback):
    """Keeps the gradients of the parameters whose name has `part` in it, before each step of the optimizer."""

    def __init__(self, part: str) -> None:
        self.part = part
        self.steps: list[dict[str, Tensor]] = []

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **keywords: Any) -> None:
        self.steps.append(gradients(keywords["model"], self.part))


def gradients(model: Any, part: str) -> dict[str, Tensor]:
    found = {}
    for name, parameter in model.named_parameters():
        if part in name:
            found[name] = parameter.grad.clone()
    assert found
    return found


def arguments(folder: Path, **changes: Any) -> TrainingArguments:
    settings: dict[str, Any] = {
        "output_dir": str(folder),
        "per_device_train_batch_size": 3,
        "gradient_accumulation_steps": MICRO,
        "max_steps": STEPS,
        "logging_steps": 1,
        "save_strategy": "no",
        "learning_rate": RATE,
        "lr_scheduler_type": "constant",
        "optim": "sgd",
        "max_grad_norm": 0.0,
        "report_to": [],
        "disable_tqdm": True,
        "use_cpu": True,
        "seed": 0,
    }
    return TrainingArguments(**(settings | changes))


def trainer(model: Any, folder: Path, callbacks: Sequence[TrainerCallback] = (), **changes: Any) -> Trainer:
    return Trainer(
        model=model,
        args=arguments(folder, **changes),
        train_dataset=rows(),  # pyright: ignore[reportArgumentType]
        eval_dataset=held_out(),  # pyright: ignore[reportArgumentType]
        data_collator=Collator(),
        callbacks=list(callbacks),
    )


def logged(done: Trainer, name: str) -> list[float]:
    return [line[name] for line in done.state.log_history if name in line]


def by_hand(
    model: Any, batches: Sequence[dict[str, Tensor]], balance: Callable[[Any, dict[str, Tensor]], Tensor], part: str
) -> tuple[list[float], list[float], list[dict[str, Tensor]]]:
    """Losses, balance losses and gradients of the same steps: the mean over label tokens of all micro-batches, and that
    of the balance losses over micro-batches."""
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    losses = []
    balances = []
    found = []
    model.train()
    for step in range(STEPS):
        micro = batches[step * MICRO : (step + 1) * MICRO]
        tokens = [int((batch["labels"][:, 1:] != -100).sum()) for batch in micro]
        optimizer.zero_grad()
        losses.append(0.0)
        balances.append(0.0)
        for batch, count in zip(micro, tokens, strict=True):
            logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
            mean = F.cross_entropy(logits[:, :-1].flatten(0, 1), batch["labels"][:, 1:].flatten())
            loss = mean * count / sum(tokens)
            added = balance(model, batch) / MICRO
            (loss + added).backward()
            losses[-1] += loss.item()
            balances[-1] += added.item()
        found.append(gradients(model, part))
        optimizer.step()
    return losses, balances, found
