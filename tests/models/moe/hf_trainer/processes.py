"""Stock exports that several gloo processes train together; `conftest.py` runs this file once.

    python -m tests.models.moe.hf_trainer.processes FOLDER

Writes FOLDER/<case>.pt: loss and router gradients of 20 steps, the mean of all processes. Processes are forked, so that
torch is imported once, and killed when they have not ended in time.
"""

import importlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.distributed.tensor import DTensor
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

from sparsebench.models.moe import MoEConfig, convert, export
from sparsebench.models.moe.hf_trainer.balance_callback import BalanceLossCallback
from sparsebench.models.moe.hf_trainer.health_callback import RouterHealthCallback
from sparsebench.models.moe.hf_trainer.loss_hook import add_balance_loss
from sparsebench.models.moe.hf_trainer.sharded_loading import load_sharded

from ....gloo import together

EARLY = (
    "torch._dynamo",  # by the optimizers at their first step
    "torch.distributed.checkpoint.state_dict",
    "transformers.distributed.expert_parallel",
    "transformers.models.mixtral.modeling_mixtral",
    "transformers.loss.loss_utils",
    "transformers.optimization",
)
"""What is imported while models load and train: once, before the forks."""
STEPS = 20
FEW = 5
"""Steps of idle experts, and of four processes."""
ROWS = 4
COEFFICIENT = 0.3
SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 48,
}
STOCK: dict[str, tuple[int, dict[str, int]]] = {
    "fsdp": (2, {"fsdp_size": 2}),
    "experts": (2, {"ep_size": 2}),
    "both": (2, {"fsdp_size": 2, "ep_size": 2}),
    "both, two copies": (4, {"fsdp_size": 4, "ep_size": 2}),
    "two replicas": (4, {"fsdp_size": 2, "replicas": 2}),
}
IDLE = ("experts", "both")


def llama() -> Any:
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**SIZES))
    for parameter in model.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.2)
    return model


def exported(folder: Path, idle: bool) -> Path:
    """A stock mixture of four experts; `idle`: every token goes to the first two, which one process has."""
    model = convert(llama(), MoEConfig(num_experts=4, top_k=2, score="softmax_topk"))
    if idle:
        with torch.no_grad():
            model.model.embed_tokens.weight.abs_()
            for layer in model.model.layers:
                layer.self_attn.o_proj.weight.mul_(0.01)
                layer.mlp.experts.down.mul_(0.01)
                signs = torch.tensor([[0.3], [0.2], [-0.2], [-0.3]])
                layer.mlp.router.weight.copy_(signs.expand(-1, SIZES["hidden_size"]))
    export(model, folder)
    return folder


def batch(step: int) -> dict[str, Tensor]:
    """Four rows of unequal lengths, padded on the right; in some steps the last two, which are those of the second of
    two processes, have no label."""
    draws = torch.Generator().manual_seed(step)
    tokens = torch.randint(3, 48, (ROWS, 9), generator=draws)
    lengths = torch.randint(3, 10, (ROWS, 1), generator=draws)
    mask = (torch.arange(9) < lengths).long()
    labels = tokens.masked_fill(mask == 0, -100)
    if step % 5 == 3:
        labels[ROWS // 2 :] = -100
    return {"input_ids": tokens * mask, "attention_mask": mask, "labels": labels}


def part(step: int, number: int, of: int) -> tuple[dict[str, Tensor], Tensor]:
    """The rows of one process, and the label tokens of all."""
    whole = batch(step)
    total = (whole["labels"][:, 1:] != -100).sum()
    size = ROWS // of
    return {name: rows[number * size : (number + 1) * size] for name, rows in whole.items()}, total


def trained(model: Any, number: int, of: int, steps: int = STEPS) -> dict[str, Any]:
    """Steps of SGD on parts of the same batches: the losses, the router gradients, the last weights of the router."""
    handle = add_balance_loss(model, COEFFICIENT)
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.5)
    losses = []
    routers = []
    for step in range(steps):
        rows, total = part(step, number, of)
        optimizer.zero_grad()
        loss = model(**rows, num_items_in_batch=total).loss * of
        loss.backward()
        balance = handle.value()
        assert balance is not None
        losses.append(mean(loss.detach(), of) + balance.item())
        routers.append({name: whole(p.grad) for name, p in model.named_parameters() if "mlp.gate.weight" in name})
        optimizer.step()
    return {"losses": losses, "routers": routers}


def mean(value: Tensor, of: int) -> float:
    if of > 1:
        distributed.all_reduce(value)
    return value.item() / of


def whole(tensor: Tensor | None) -> Tensor:
    assert tensor is not None
    if isinstance(tensor, DTensor):
        return tensor.full_tensor().clone()
    return tensor.clone()


def stock(folder: Path, sizes: dict[str, int], idle: bool) -> dict[str, Any]:
    model = load_sharded(folder / ("idle" if idle else "busy"), **sizes)
    of = int(os.environ["WORLD_SIZE"])
    number = int(os.environ["RANK"])
    if sizes.get("fsdp_size", 1) == 1:  # all have the same batch
        number, of = 0, 1
    steps = STEPS
    if idle or os.environ["WORLD_SIZE"] == "4":
        steps = FEW
    found = trained(model, number, of, steps)
    found["mine"] = sum(local(parameter).numel() for parameter in model.parameters())
    found["all"] = sum(parameter.numel() for parameter in model.parameters())
    if not idle:
        model.save_pretrained(folder / "saved" / "-".join(f"{name}{size}" for name, size in sizes.items()))
    return found


def alone(folder: Path, idle: bool) -> dict[str, Any]:
    model = load_sharded(folder / ("idle" if idle else "busy"))
    found = trained(model, 0, 1, FEW if idle else STEPS)
    found["weights"] = model.state_dict()
    return found


def local(tensor: Tensor) -> Tensor:
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def by_trainer(model: Any, folder: Path, size: int) -> dict[str, Any]:
    """Six steps of `Trainer`; two processes take half of each batch."""
    examples: Any = []
    for step in range(6):
        rows = batch(step)
        for row in range(ROWS):
            examples.append({name: values[row] for name, values in rows.items()})
    arguments = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=size,
        max_steps=6,
        logging_steps=1,
        save_strategy="no",
        learning_rate=0.05,
        optim="sgd",
        max_grad_norm=1.0,
        train_sampling_strategy="sequential",
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
    )
    trainer = Trainer(model, arguments, train_dataset=examples, callbacks=[BalanceLossCallback(COEFFICIENT)])
    trainer.add_callback(RouterHealthCallback(trainer, detail="experts"))
    trainer.train()
    return {"log": trainer.state.log_history}


def ended(work: Callable[[], Any], file: Path, of: int) -> str:
    """Run `work` in so many processes, the first of which writes what it gives: "ended", "failed" or "hung"."""

    def writing() -> None:
        found = work()
        if os.environ.get("RANK", "0") == "0":
            torch.save(found, file)

    codes = together(writing, of)
    if None in codes:
        return "hung"
    return "failed" if any(codes) else "ended"


def main(folder: Path) -> None:
    for name in EARLY:
        importlib.import_module(name)
    torch.set_num_threads(1)
    ends: dict[str, str] = {}

    def run(name: str, work: Callable[[], Any], of: int) -> None:
        ends[name] = ended(work, folder / f"{name}.pt", of)

    for idle, place in ((False, "busy"), (True, "idle")):
        exported(folder / place, idle)
        run(f"one process, {place}", lambda idle=idle: alone(folder, idle), 1)
    for name, (of, sizes) in STOCK.items():
        run(name, lambda sizes=sizes: stock(folder, sizes, False), of)
    for name in IDLE:
        of, sizes = STOCK[name]
        run(f"idle, {name}", lambda sizes=sizes: stock(folder, sizes, True), of)
    run("one process, trainer", lambda: by_trainer(load_sharded(folder / "busy"), folder / "trainer", ROWS), 1)
    both = {"fsdp_size": 2, "ep_size": 2}
    run("trainer", lambda: by_trainer(load_sharded(folder / "busy", **both), folder / "trainer", ROWS // 2), 2)
    (folder / "ends.json").write_text(json.dumps(ends))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
