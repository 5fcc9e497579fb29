"""A converted and an adapted model through a user's tools, with the same outputs at each stop.

transformers' Trainer with a stop, the hub (a folder here) and its card, PEFT, lm-eval by path, torch.export, llama.cpp.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import huggingface_hub
import peft
import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, TrainerCallback

from sparsebench.models import load, save
from sparsebench.models.adapters import LoRAConfig, adapter_sets, attach, save_peft
from sparsebench.models.moe import MoEConfig, convert, export
from sparsebench.models.moe.hf_trainer.balance_callback import BalanceLossCallback
from sparsebench.models.moe.hf_trainer.health_callback import RouterHealthCallback
from sparsebench.suites.llm.small_models.byte_tokenizer import byte_tokenizer

from .foreign_engines import engines, own_task
from .hub.local_hub import local_hub
from .moe.hf_trainer.tiny_trainer import trainer

SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "max_position_embeddings": 512,
}
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # PEFT asks transformers
IDS = torch.randint(3, 257, (3, 9), generator=torch.Generator().manual_seed(0))


def llama(vocabulary: int) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return LlamaForCausalLM(LlamaConfig(**SIZES, vocab_size=vocabulary)).eval()


def converted(vocabulary: int) -> Any:
    return convert(llama(vocabulary), MoEConfig(num_experts=4, balance="cv2", balance_coef=0.1, noise="shazeer"))


def adapted(vocabulary: int) -> Any:
    model = llama(vocabulary)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        attach(model, LoRAConfig(r=4, dropout=0.1, targets=("q", "v", "down")))
    return model


BUILD: dict[str, Callable[[int], Any]] = {"converted": converted, "adapted": adapted}


class StopAfterTwo(TrainerCallback):
    def on_step_end(self, args: Any, state: Any, control: Any, **keywords: Any) -> None:
        control.should_training_stop = state.global_step == 2


def trained(kind: str, folder: Path, *, vocabulary: int, stop: bool = False, resume: bool = False) -> Any:
    """The trainer after four steps that save each second one: in `folder` there may be a training to go on with."""
    settings: dict[str, Any] = {"save_strategy": "steps", "save_steps": 2, "learning_rate": 0.02}
    done = trainer(BUILD[kind](vocabulary), folder, optim="adamw_torch", **settings)
    if kind == "converted":
        done.add_callback(BalanceLossCallback())
        done.add_callback(RouterHealthCallback(done))
    if stop:
        done.add_callback(StopAfterTwo())
    done.train(resume_from_checkpoint=resume)
    done.model.eval()
    return done


class Traveller(NamedTuple):
    """A training that was stopped and went on, the logits of `IDS`, and the folder of the hub."""

    kind: str
    training: Any
    logits: Tensor
    folder: Path

    @property
    def model(self) -> Any:
        return self.training.model


@torch.no_grad()
def logits(model: Any) -> Tensor:
    return model(IDS).logits


def close(found: Tensor, expected: Tensor) -> None:
    """Up to the rounding of float32 in a few layers."""
    torch.testing.assert_close(found, expected, atol=2e-5 * expected.abs().max().item(), rtol=0)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of the repositories."""
    root = tmp_path_factory.mktemp("hub")
    with local_hub(root):
        yield root


@pytest.fixture(scope="module", params=BUILD)
def traveller(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, hub: Path) -> Traveller:
    """The second half of a training, and the repository with what came of it."""
    kind = request.param
    folder = tmp_path_factory.mktemp(kind)
    vocabulary = len(byte_tokenizer())
    trained(kind, folder / "training", vocabulary=vocabulary, stop=True)
    done = trained(kind, folder / "training", vocabulary=vocabulary, resume=True)
    name = f"someone/{kind}"
    if kind == "converted":
        done.model.push_to_hub(name, tags=["mine"])
        byte_tokenizer().push_to_hub(name)
    else:
        save(done.model, folder / "saved", tokenizer=byte_tokenizer())
        huggingface_hub.HfApi().create_repo(name)
        huggingface_hub.HfApi().upload_folder(repo_id=name, folder_path=folder / "saved")
    return Traveller(kind, done, logits(done.model), hub / name)


def test_a_training_that_was_stopped_ends_as_one_that_was_not(traveller: Traveller, tmp_path: Path) -> None:
    """Weights, and what the callbacks logged of balance and health, to the last bit."""
    whole = trained(traveller.kind, tmp_path, vocabulary=len(byte_tokenizer()))
    log = traveller.training.state.log_history
    assert len(log) == (9 if traveller.kind == "converted" else 5)
    for line, other in zip(whole.state.log_history, log, strict=True):
        assert "train_runtime" in line or line == other
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, traveller.model.state_dict()[name]), name
    assert (traveller.logits - logits(BUILD[traveller.kind](len(byte_tokenizer())))).abs().max() > 0.1


def test_the_hub_has_the_model_and_its_card(traveller: Traveller) -> None:
    text = (traveller.folder / "README.md").read_text()
    assert "library_name: sparsebench" in text and "pip install sparsebench" in text
    assert torch.equal(logits(load(traveller.folder)), traveller.logits)
    if traveller.kind == "converted":
        assert "- mine" in text and 'AutoModelForCausalLM.from_pretrained("this folder")' in text
        assert torch.equal(logits(AutoModelForCausalLM.from_pretrained(traveller.folder)), traveller.logits)


def peft_folders(traveller: Traveller, folder: Path) -> tuple[Path, Path]:
    """A base that transformers opens and the files of PEFT for it: of the adapted model what it is made of, of the
    converted one new adapters that do nothing yet."""
    if traveller.kind == "adapted":
        llama(len(byte_tokenizer())).save_pretrained(folder / "base")
        byte_tokenizer().save_pretrained(folder / "base")
        save_peft(adapter_sets(traveller.model)["default"], folder / "peft", str(folder / "base"))
        return folder / "base", folder / "peft"
    base: Any = AutoModelForCausalLM.from_pretrained(traveller.folder)
    config = peft.LoraConfig(r=2, target_modules=["q_proj"], target_parameters=["mlp.experts.down"])
    peft.get_peft_model(base, config).save_pretrained(folder / "peft")
    return traveller.folder, folder / "peft"


def test_peft_gives_the_same(traveller: Traveller, tmp_path: Path) -> None:
    """Adapters of PEFT on the converted model, too: trained ones come back from their files, merged or not."""
    base, files = peft_folders(traveller, tmp_path)
    model = peft.PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), files).eval()
    assert torch.equal(logits(model), traveller.logits)
    if traveller.kind == "adapted":
        return
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(len(name)))
    changed = logits(model)
    assert (changed - traveller.logits).abs().max() > 0.01
    model.save_pretrained(tmp_path / "more")
    again = peft.PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), tmp_path / "more").eval()
    assert torch.equal(logits(again), changed)
    merged: Any = again.merge_and_unload()  # pyright: ignore[reportCallIssue]
    close(logits(merged), changed)
    merged.save_pretrained(tmp_path / "merged")
    assert torch.equal(logits(AutoModelForCausalLM.from_pretrained(tmp_path / "merged")), logits(merged))


def test_lm_eval_by_path_reads_the_same(traveller: Traveller, tmp_path: Path) -> None:
    lm_eval = pytest.importorskip("lm_eval")
    from lm_eval.tasks import TaskManager

    base, files = peft_folders(traveller, tmp_path)
    tasks = TaskManager(include_path=str(own_task.write_task(tmp_path / "tasks")), include_defaults=False)
    found = lm_eval.simple_evaluate(
        model="hf",
        model_args={"pretrained": str(base), "peft": str(files), "dtype": "float32"},
        tasks=["own_choices"],
        task_manager=tasks,
        device="cpu",
        batch_size=2,
        bootstrap_iters=0,
        log_samples=True,
    )
    samples = found["samples"]["own_choices"]
    for ours, theirs in zip(own_task.log_likelihoods(traveller.model), samples, strict=True):
        # Sums of up to 20 log-probabilities of magnitude 6, in batches with padding.
        assert [answer[0][0] for answer in theirs["resps"]] == pytest.approx(ours, abs=1e-4)


class Logits(nn.Module):
    """One tensor in, one out."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor) -> Tensor:
        return self.model(ids, use_cache=False).logits


def test_an_exported_graph_gives_the_same(traveller: Traveller) -> None:
    batch = torch.export.Dim("batch", min=1, max=64)
    with torch.no_grad():
        program = torch.export.export(Logits(load(traveller.folder)), (IDS[:2],), dynamic_shapes=({0: batch},))
        close(program.module()(IDS), traveller.logits)


@pytest.mark.data
@pytest.mark.parametrize("kind", BUILD)
def test_llama_cpp_gives_the_same(kind: str, tmp_path: Path) -> None:
    """With the vocabulary of SmolLM2: llama.cpp knows tokenizers by name. A merged adapter is a stock Llama."""
    if engines.interpreter("llama.cpp") is None:
        pytest.skip(f"needs {', '.join(engines.ENGINES['llama.cpp'].packages)}")
    kept = engines.tokenizer()
    model = trained(kind, tmp_path / "training", vocabulary=len(kept)).model
    ids, ours = engines.question(model, kept)
    place = tmp_path / "place"
    if kind == "converted":
        assert export(model, place / "model", engine="llama.cpp", tokenizer=kept) == "MixtralForCausalLM"
    else:
        save(adapter_sets(model)["default"].merge(), place / "model", tokenizer=kept)
    (place / "question.json").write_text(json.dumps({"ids": ids, "new": engines.NEW}))
    torch.save(ours, place / "ours.pt")
    answer = engines.answers("llama.cpp", {kind: place}, tmp_path)[kind]
    assert answer.exact("llama.cpp"), answer
