"""Mixtures under `Trainer` of transformers: draws depend on no worker and no stop; bad input is said at the start."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, MixtralConfig, MixtralForCausalLM

from sparsebench.data.errors import MixtureError
from sparsebench.data.mixtures import strategy
from sparsebench.models.errors import ModelError
from sparsebench.suites.training.mixing.trainer_callback import (
    DataMixingCallback,
    _loss,
    draws_per_step,
    mixture_dataset,
)

from ....gloo import run_program
from .trained_mixture import LOW, NAMES, STEPS, arguments, callback, rows, trainer


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the trainings of `trained_mixture.py` gave."""
    folder = tmp_path_factory.mktemp("trained")
    run_program("tests.suites.training.mixing.trained_mixture", folder, 480)
    return json.loads((folder / "found.json").read_text())


def test_weights_move_and_decide_the_draws_behind_what_is_read_ahead(found: dict[str, Any]) -> None:
    whole = found["0 whole"]
    moves = [line for line in whole["log"] if "mixing_cv2" in line]
    assert [line["step"] for line in moves] == [3, 6, 9, 12]
    weights = [[line[f"mixing_weight/{name}"] for name in NAMES] for line in moves]
    assert all(sum(one) == pytest.approx(1) for one in weights) and weights[0] != weights[1]
    assert all(0 < share < 1 for share in whole["overheads"])
    # Until step 8 the draws are those of equal weights, and then no longer.
    args = arguments(Path("unused"))
    still = mixture_dataset({name: rows(name, 12) for name in NAMES}, strategy("uniform", NAMES), args, seed=1)
    same = []
    for step, batch in enumerate(whole["seen"]):
        first = [row["input_ids"].tolist() for row in (still[2 * step], still[2 * step + 1])]
        same.append([row[:4] for row in batch] == [row[:4] for row in first])
    assert len(same) == STEPS and all(same[:8]) and not all(same[8:])
    assert {min(LOW, key=lambda name: abs(LOW[name] + 10 - row[0])) for b in whole["seen"] for row in b} == set(NAMES)


def test_the_draws_do_not_depend_on_the_workers(found: dict[str, Any]) -> None:
    assert found["2 whole"]["seen"] == found["0 whole"]["seen"] and found["2 whole"]["log"] == found["0 whole"]["log"]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_killed_training_is_resumed_as_if_it_had_not_stopped(found: dict[str, Any], workers: int) -> None:
    """Killed after step 10; the checkpoint of step 8 has weights that decide from step 11 on only."""
    assert found[f"{workers} killed code"] == -signal.SIGKILL and f"{workers} killed" not in found
    whole, resumed = found[f"{workers} whole"], found[f"{workers} resumed"]
    assert resumed["seen"] == whole["seen"][8:]
    assert resumed["weights"] == whole["weights"] and resumed["log"] == whole["log"]


def test_two_processes_draw_and_measure_as_one(found: dict[str, Any]) -> None:
    """Rows of each step, whoever takes them: one micro-batch in each of two processes, two in one, by the same default
    lead; weights that come from the loads of both, and decide from step 8 on."""
    assert found["two code"] == [0, 0]
    first, second = found["two"]
    alone = found["accumulated"]
    for step in range(12):
        together = first["seen"][step] + second["seen"][step]
        rows = alone["seen"][2 * step] + alone["seen"][2 * step + 1]
        assert sorted(map(_real, together)) == sorted(map(_real, rows))
    ours = [line["mixing_weight/code"] for line in alone["log"] if "mixing_cv2" in line]
    theirs = [line["mixing_weight/code"] for line in first["log"] if "mixing_cv2" in line]
    assert len(ours) == 4 and theirs == pytest.approx(ours, abs=1e-3) and ours[0] != ours[1]


def _real(row: list[int]) -> list[int]:
    """The first tokens, which every row has."""
    return row[:4]


def test_what_cannot_be_is_said_before_anything_trains(tmp_path: Path) -> None:
    mixing = strategy("gate_load", NAMES)
    with pytest.raises(MixtureError, match="interval=0"):
        DataMixingCallback(None, mixing, {}, interval=0)
    with pytest.raises(MixtureError, match="'code' has no held-out row"):
        DataMixingCallback(None, mixing, {"law": [1]})
    with pytest.raises(MixtureError, match="say max_steps"):
        mixture_dataset({"a": [1]}, strategy("uniform", ["a"]), arguments(tmp_path, max_steps=-1), seed=0)
    made = trainer(tmp_path, mixing, train_sampling_strategy="random")
    made.add_callback(callback(made, mixing))
    with pytest.raises(MixtureError, match="sequential"):
        made.train()
    made = trainer(tmp_path, mixing)
    made.add_callback(callback(made, strategy("uniform", ["code", "law"])))
    with pytest.raises(MixtureError, match="not a mixture of code, law"):
        made.train()
    config = LlamaConfig(
        vocab_size=60, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=4
    )
    made = trainer(tmp_path, mixing, model=LlamaForCausalLM(config))
    made.add_callback(callback(made, mixing))
    with pytest.raises(ModelError, match="no mixture of experts"):
        made.train()


def test_the_balance_loss_is_no_part_of_a_held_out_loss() -> None:
    """Nats per token, by which strategies weigh data sets, rose with the imbalance of a stock mixture's routers."""
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = MixtralConfig(**sizes, num_key_value_heads=2, vocab_size=32, num_local_experts=4, router_aux_loss_coef=1.0)
    model = MixtralForCausalLM(config).eval()
    ids = torch.arange(12).view(2, 6)
    batch = {"input_ids": ids, "labels": ids}
    alone = _loss(model, batch).item()
    model.config.output_router_logits = True
    assert model(**batch).loss.item() > alone + 0.1, "with the balance loss"
    assert _loss(model, batch).item() == alone


def test_a_static_start_from_gate_loads_decides_the_first_draw(tmp_path: Path) -> None:
    mixing = strategy("gate_load_static", NAMES)
    made = trainer(tmp_path, mixing, max_steps=2, save_strategy="no")
    made.add_callback(callback(made, mixing))
    made.train()
    data: Any = made.train_dataset
    (start, weights), *rest = data.draws.history
    assert start == 0 and weights == mixing.weights and len(set(weights.values())) > 1 and not rest


def test_the_lead_is_one_of_steps_whatever_makes_a_step(tmp_path: Path) -> None:
    """Where workers read further ahead than 5 batches, one of so many steps."""
    for changes, lead in (({}, 5), ({"gradient_accumulation_steps": 4}, 5), ({"dataloader_num_workers": 4}, 9)):
        made = trainer(tmp_path, strategy("uniform", NAMES), **changes)
        assert callback(made, strategy("uniform", NAMES))._lead(made.args) == lead


def test_a_step_takes_the_rows_of_all_micro_batches(tmp_path: Path) -> None:
    assert draws_per_step(arguments(tmp_path, gradient_accumulation_steps=3)) == 6
