"""Pruning of whole models: exact counts, what stays untouched, and the defects of the released code."""

import copy
import re
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparsebench.models.anatomy import describe
from sparsebench.models.calibration.mixture_statistics import mixture_statistics
from sparsebench.models.compression import QuantiseConfig, expert_drop, quantise
from sparsebench.models.compression.linear.expert_linears import linear_maps
from sparsebench.models.compression.linear.layerwise import layerwise
from sparsebench.models.compression.scarce import ScarceCalibrationWarning
from sparsebench.models.compression.slimming import undo
from sparsebench.models.compression.slimming.patterns import Pattern
from sparsebench.models.compression.slimming.pruning import PruningConfig, prune
from sparsebench.models.compression.slimming.report import PruningReport
from sparsebench.models.compression.slimming.sparsegpt import sparsegpt
from sparsebench.models.counting import stored_bytes
from sparsebench.models.errors import ModelError
from sparsebench.models.graphsgpt.model.configuration import GraphsGPTConfig
from sparsebench.models.graphsgpt.model.modeling import GraphsGPT
from sparsebench.models.moe import MoEConfig, convert

from .mixtures import BUILDERS, VOCABULARY, batches, mixture, output

METHODS = ["magnitude", "wanda", "sparsegpt"]


def pruned(name: str, method: Any, **fields: Any) -> tuple[nn.Module, PruningReport]:
    model = mixture(name)
    return model, prune(model, PruningConfig(method=method, **fields), batches(name))


def state(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(model: nn.Module, before: dict[str, Tensor]) -> bool:
    return all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


CASES = [(name, pattern) for name in BUILDERS for pattern in ("unstructured", "2:4")]
CASES += [(name, pattern) for name in ("mixtral", "converted") for pattern in ("row", "4:8")]


def test_every_layout_gets_the_zeros_asked_for(subtests: pytest.Subtests) -> None:
    """Defect 19: a walk over `nn.Linear` prunes no fused expert, and says nothing."""
    for name, pattern in CASES:
        for method in METHODS:
            with subtests.test(name=name, pattern=pattern, method=method):
                model, report = pruned(name, method, pattern=pattern)
                seen = 0
                for block in describe(model).blocks:
                    experts = None if block.mlp is None else block.mlp.experts
                    for expert in range(0 if experts is None else experts.num_experts):
                        assert experts is not None
                        for weight in experts.weights(expert)[:3]:
                            if weight is not None:
                                assert int((weight == 0).sum()) == Pattern(pattern, 0.5).zeros(*weight.shape)
                                seen += int((weight == 0).sum())
                assert seen == report.zeros == report.asked > 0
                assert output(model, batches(name)[0]).isfinite().all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", BUILDERS)
def test_nothing_but_the_experts_matrices_changes(name: str, method: str) -> None:
    """B11, and defect 8: the released code prunes Mixtral's router, whose name ends in "gate", with the experts."""
    model = mixture(name)
    before = state(model)
    experts: set[str] = set()
    owners = {parameter.data_ptr(): path for path, parameter in model.named_parameters()}
    for block in describe(model).blocks:
        if block.mlp is not None and block.mlp.experts is not None:
            for site in block.mlp.experts.tensors:
                experts.add(owners[site.tensor().data_ptr()])
    if name == "listed":
        experts = {path for path in before if ".experts." in path and "weight" in path}
    prune(model, PruningConfig(method=method), batches(name))  # type: ignore[arg-type]
    changed = {path for path, tensor in model.state_dict().items() if not torch.equal(tensor, before[path])}
    assert changed <= experts and changed == {path for path in experts if "bias" not in path}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["mixtral", "gpt_oss", "converted"])
def test_sparsity_0_changes_no_bit(name: str, method: str) -> None:
    """B2."""
    for pattern in ("unstructured", "row", "4:4"):
        model, report = pruned(name, method, sparsity=0, pattern=pattern)
        assert same(model, mixture(name).state_dict())
        assert report.asked == 0
        assert torch.equal(output(model, batches(name)[0]), output(mixture(name), batches(name)[0]))


@pytest.mark.parametrize("pattern", ["unstructured", "row", "2:4"])
def test_magnitude_keeps_the_large_weights(pattern: str) -> None:
    """B7, and defect 7: the released code keeps the small ones."""
    dense = mixture("mixtral")
    model, _ = pruned("mixtral", "magnitude", pattern=pattern)
    for old, new in zip(linear_maps(dense), linear_maps(model), strict=True):
        kept = new.weight != 0
        assert torch.equal(new.weight[kept], old.weight[kept])
        rows, width = {"unstructured": (1, -1), "row": (len(kept), -1), "2:4": (-1, 4)}[pattern]
        groups = old.weight.abs().reshape(rows, width)
        for size, stays in zip(groups, kept.reshape(rows, width), strict=True):
            assert size[stays].min() >= size[~stays].max()


@pytest.mark.parametrize("router_weighted", [False, True])
def test_wanda_is_what_a_loop_over_tokens_finds(router_weighted: bool) -> None:
    """Oracle in float64: the first block of a Mixtral, token by token, with its router's weights by hand."""
    dense: Any = mixture("mixtral")
    block = dense.model.layers[0].mlp
    inputs: list[Tensor] = []
    hook = block.register_forward_pre_hook(lambda module, args: inputs.append(args[0][mask].double()))
    for batch in batches("mixtral"):
        mask = batch["attention_mask"].bool()
        output(dense, batch)
    hook.remove()
    columns = {(e, role): torch.zeros(size, dtype=torch.float64) for e in range(4) for role, size in SIZES.items()}
    for x in torch.cat(inputs):
        chance = (block.gate.weight.double() @ x).softmax(0)
        for expert in chance.topk(2).indices.tolist():
            gate = (chance[expert] / chance.topk(2).values.sum()).item() if router_weighted else 1.0
            up = block.experts.gate_up_proj[expert].double() @ x
            hidden = F.silu(up[:48]) * up[48:]
            for role, value in {"gate": x, "up": x, "down": hidden}.items():
                columns[expert, role] += (gate * value.detach()) ** 2
    model, report = pruned("mixtral", "wanda", pattern="row", router_weighted=router_weighted)
    assert report.fallen_back == ()
    for old, new in zip(linear_maps(mixture("mixtral")), linear_maps(model), strict=True):
        if old.block == 0:
            assert old.expert is not None
            score = old.weight.double().abs() * columns[old.expert, old.role].sqrt()
            assert torch.equal(new.weight != 0, Pattern("row", 0.5).keep(score))


SIZES = {"gate": 32, "up": 32, "down": 48}


def test_wanda_looks_at_the_inputs_and_sparsegpt_moves_what_stays() -> None:
    by_size, _ = pruned("mixtral", "magnitude")
    by_input, _ = pruned("mixtral", "wanda")
    assert not same(by_size, by_input.state_dict())
    moved, _ = pruned("mixtral", "sparsegpt")
    dense = linear_maps(mixture("mixtral"))
    for old, kept, new in zip(dense, linear_maps(by_input), linear_maps(moved), strict=True):
        assert torch.equal(kept.weight[kept.weight != 0], old.weight[kept.weight != 0])
        assert not torch.equal(new.weight[new.weight != 0], old.weight[new.weight != 0])


@pytest.mark.parametrize("method", ["wanda", "sparsegpt"])
def test_an_expert_without_tokens_goes_by_magnitude_and_is_named(method: Any) -> None:
    """B12; the released code crashes."""
    model: Any = mixture("deepseek_v3")
    bias = model.model.layers[1].mlp.gate.e_score_correction_bias
    bias.zero_()
    bias[2] = -1e4
    dense = copy.deepcopy(model)
    report = prune(model, PruningConfig(method=method, pattern="unstructured"), batches("deepseek_v3"))
    assert [(one.name, one.criterion, one.tokens) for one in report.fallen_back] == [
        (f"model.layers.1.mlp.experts[2].{role}", "magnitude", 0) for role in ("gate", "up", "down")
    ]
    assert "model.layers.1.mlp.experts[2].up (0)" in str(report)
    prune(dense, PruningConfig(method="magnitude"))
    for ours, by_size in zip(linear_maps(model), linear_maps(dense), strict=True):
        if (ours.block, ours.expert) == (1, 2):
            assert torch.equal(ours.weight, by_size.weight)


def test_few_tokens_are_too_few_where_the_floor_says_so() -> None:
    _, report = pruned("mixtral", "wanda")
    tokens = [one.tokens or 0 for one in report.linears]
    floor = sorted(tokens)[len(tokens) // 2]
    _, floored = pruned("mixtral", "wanda", min_tokens=floor)
    assert 0 < len(floored.fallen_back) < len(tokens)
    assert all((one.tokens or 0) < floor for one in floored.fallen_back if one.name.startswith("model.layers.0"))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["mixtral", "gpt_oss", "converted"])
def test_after_experts_were_dropped_with_their_rows_preserved(name: str, method: Any) -> None:
    """A chain: what the tokens of dropped experts would have put in is seen nowhere."""
    model = mixture(name)
    seen = mixture_statistics(model, batches(name))
    dropped = expert_drop(model, seen, keep=2, preserve_gate=True)
    report = prune(model, PruningConfig(method=method, pattern="2:4"), batches(name))
    assert {one.name.rpartition("[")[2][0] for one in report.linears} == {"0", "1"}
    assert report.zeros == report.asked
    if method != "magnitude":
        first = [one for one in report.linears if one.name.startswith("model.layers.0.") and one.name.endswith("up")]
        wanted = [int(seen[0].counts[expert]) for expert in dropped.layers[0].kept]
        assert [one.tokens for one in first] == wanted


def test_other_parts_when_asked_for() -> None:
    model = mixture("deepseek_v3")
    before = state(model)
    config = PruningConfig(method="wanda", pattern="row", parts=("attention", "ffn", "shared"))
    report = prune(model, config, batches("deepseek_v3"))
    assert {one.part for one in report.linears} == {"attention", "ffn", "shared"} and report.fallen_back == ()
    for path, tensor in model.state_dict().items():
        if ".mlp.experts." in path or ".mlp.gate." in path or "embed" in path:
            assert torch.equal(tensor, before[path])
    assert report.zeros == report.asked


def test_a_router_when_asked_for() -> None:
    """What defect 8 costs can be measured."""
    model, report = pruned("mixtral", "wanda", parts=("router",), pattern="2:4")
    assert [one.name for one in report.linears] == [f"model.layers.{n}.mlp.gate.weight" for n in (0, 1)]
    for layer in model.model.layers:  # type: ignore[union-attr]
        assert ((layer.mlp.gate.weight == 0).view(4, 8, 4).sum(-1) == 2).all()


def both_halves() -> nn.Module:
    sizes: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_words": 2}
    return convert(GraphsGPT(GraphsGPTConfig.of(VOCABULARY, **sizes)).eval(), MoEConfig(num_experts=2, top_k=2))


@pytest.mark.parametrize("method", ["wanda", "sparsegpt"])
def test_both_halves_of_graphsgpt(method: Any) -> None:
    """The decoder's inputs are no outputs of the encoder's blocks."""
    model = both_halves()
    report = prune(model, PruningConfig(method=method, pattern="2:4"), batches("graphsgpt"))
    assert {one.name.split(".")[0] for one in report.linears} == {"encoder", "decoder"}
    assert report.sparsity == 0.5 and report.fallen_back == ()


def test_a_dense_twin(build) -> None:
    model = build("llama")
    report = prune(model, PruningConfig(method="sparsegpt", parts=("ffn",)), batches("mixtral"))
    assert len(report.linears) == 6 and report.sparsity == 0.5


def test_a_mask_saves_no_bytes_and_is_still_there_after_saving(tmp_path) -> None:
    model: Any = mixture("mixtral")
    size = stored_bytes(model)
    prune(model, PruningConfig(method="magnitude", pattern="2:4"))
    assert stored_bytes(model) == size
    model.save_pretrained(tmp_path)
    loaded = type(model).from_pretrained(tmp_path)
    for one, other in zip(linear_maps(model), linear_maps(loaded), strict=True):
        assert torch.equal(one.weight, other.weight) and (other.weight == 0).any()


def test_bfloat16_models_are_pruned_by_statistics_in_float32() -> None:
    model = mixture("mixtral").bfloat16()
    report = prune(model, PruningConfig(method="sparsegpt", pattern="row"), batches("mixtral"))
    assert report.zeros >= report.asked == sum(one.entries // 2 for one in report.linears)
    assert linear_maps(model)[0].weight.dtype == torch.bfloat16


@pytest.mark.parametrize("method", ["wanda", "sparsegpt"])
def test_nan_activations_leave_the_model_as_it_was(method: Any) -> None:
    """They come up in the second block, when the first one is pruned already."""
    model: Any = mixture("mixtral").train()
    with torch.no_grad():
        model.model.layers[1].input_layernorm.weight[3] = float("inf")
    before = state(model)
    with pytest.raises(ModelError) as caught:
        prune(model, PruningConfig(method=method), batches("mixtral"))
    assert re.search(r"the inputs of model\.layers\.1\S+ (in|hidden) are NaN or infinite", str(caught.value))
    assert same(model, before)
    assert all(module.training and not module._forward_pre_hooks for module in model.modules())


def test_what_cannot_be_pruned_is_refused_and_the_model_stays() -> None:
    model: Any = mixture("mixtral")
    before = state(model)
    with pytest.raises(ModelError, match="no calibration batches"):
        prune(model, PruningConfig(method="wanda"))
    with pytest.raises(ModelError, match="batches is a Tensor"):
        prune(model, PruningConfig(method="wanda"), torch.ones(2, 3, dtype=torch.long))
    hidden = [{**batch, "attention_mask": torch.zeros_like(batch["input_ids"])} for batch in batches("mixtral")]
    with pytest.raises(ModelError, match="no calibration token reached any of the linear maps"):
        prune(model, PruningConfig(method="wanda"), hidden)
    assert same(model, before)
    with torch.no_grad():
        model.model.layers[1].mlp.experts.down_proj[2, 0, 0] = float("nan")
    with pytest.raises(ModelError, match=r"experts\[2\]\.down holds NaN or infinite weights: nothing was pruned"):
        prune(model, PruningConfig(method="magnitude"))
    assert torch.equal(model.model.layers[0].mlp.experts.down_proj, before["model.layers.0.mlp.experts.down_proj"])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["mixtral", "converted"])
def test_packed_weights_are_refused_and_dense_ones_beside_them_stay(name: str, method: Any) -> None:
    model = mixture(name)
    quantise(model, QuantiseConfig(method="rtn"))
    before = output(model, batches(name)[0])
    attention = [one.weight.clone() for one in linear_maps(model, ("attention",))]
    with pytest.raises(ModelError, match=r"is quantised: prune before that, or `dequantise\(model\)` first"):
        prune(model, PruningConfig(method=method, parts=("attention", "experts")), batches(name))
    for one, weight in zip(linear_maps(model, ("attention",)), attention, strict=True):
        assert torch.equal(one.weight, weight)
    assert torch.equal(output(model, batches(name)[0]), before)


def test_weights_that_two_layers_share_are_refused() -> None:
    model: Any = mixture("mixtral")
    model.model.layers[1].mlp.experts.down_proj = model.model.layers[0].mlp.experts.down_proj
    with pytest.raises(ModelError, match=r"layers\.1\S+\.down shares its weights with model\.layers\.0\S+\.down"):
        prune(model, PruningConfig(method="magnitude"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"method": "obs"}, "method='obs' is not one of magnitude, wanda, sparsegpt"),
        ({"sparsity": 1}, "0 <= sparsity < 1"),
        ({"pattern": "2:4", "sparsity": 0.3}, "removes 0.5"),
        ({"parts": ("gate",)}, "parts='gate' is not one of"),
        ({"parts": "experts"}, r"parts='experts' is a text, not several: write parts=\('experts',\)"),
        ({"min_tokens": 0}, "min_tokens=0 must be 1 or more"),
        ({"memory": 0}, "memory=0 must be 1 or more"),
        ({"block_size": 0}, "block_size=0 must be 1 or more"),
        ({"damping": -1.0}, "damping=-1.0 must be 0 or more"),
        ({"method": "magnitude", "router_weighted": True}, "router_weighted weighs tokens of routed experts"),
        ({"parts": ("experts", "shared"), "router_weighted": True}, "parts experts"),
    ],
)
def test_values_out_of_range_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        PruningConfig(**fields)


def test_what_is_not_said_is_the_methods_own() -> None:
    """Wanda's paper ranks the weights of each output."""
    by_rows, _ = pruned("mixtral", "wanda")
    asked, _ = pruned("mixtral", "wanda", pattern="row", sparsity=0.5)
    assert same(by_rows, asked.state_dict())
    assert all(((one.weight == 0).sum(1) == one.shape[1] // 2).all() for one in linear_maps(by_rows))
    for method in ("magnitude", "sparsegpt"):
        assert PruningConfig(method=method).zeros == Pattern("unstructured", 0.5)  # type: ignore[arg-type]
    assert PruningConfig(pattern="1:4").zeros == Pattern("1:4", 0.75)


@pytest.mark.parametrize("memory", [1, 2**30])
def test_statistics_of_the_model_as_it_was(memory: int) -> None:
    """Oracle: each block pruned in a model whose other blocks are dense, so that no pruned one comes before it."""
    config = PruningConfig(method="sparsegpt", pattern="2:4", sequential=False, memory=memory)
    model = mixture("mixtral")
    prune(model, config, batches("mixtral"))
    for block in (0, 1):
        alone = mixture("mixtral")
        for one, seen in layerwise(alone, batches("mixtral"), linear_maps(alone), full=True, memory=memory):
            if one.block == block:
                one.write(sparsegpt(one.weight, seen.matrix, config.zeros))
        for ours, other in zip(linear_maps(model), linear_maps(alone), strict=True):
            assert ours.block != block or torch.equal(ours.weight, other.weight)
    sequential, _ = pruned("mixtral", "sparsegpt", pattern="2:4")
    assert not same(model, sequential.state_dict())


def test_blocks_that_do_not_hand_on_cannot_be_seen_as_they_were() -> None:
    """The second half of GraphsGPT gets something else than what the first one gives."""
    model = both_halves()
    before = state(model)
    with pytest.raises(ModelError, match=r"sequential=False: decoder\S+ does not get what the block before it gives"):
        prune(model, PruningConfig(method="wanda", sequential=False), batches("graphsgpt"))
    assert same(model, before)


def test_too_few_tokens_are_a_warning_that_names_the_maps() -> None:
    few = [{"input_ids": torch.arange(3, 9)[None]}]
    with pytest.warns(ScarceCalibrationWarning, match=r"a quarter of the inputs reached \S+experts\[0\]\.\S+ \(\d for"):
        report = prune(mixture("mixtral"), PruningConfig(method="sparsegpt"), few)
    assert report.scarce and all((one.tokens or 0) < one.shape[1] / 4 for one in report.scarce)
    long = [{"input_ids": torch.arange(3, 51).view(2, 24)}, {"input_ids": torch.arange(10, 58).view(2, 24)}]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert prune(mixture("mixtral"), PruningConfig(method="sparsegpt"), long).scarce == ()
        assert prune(mixture("mixtral"), PruningConfig(method="magnitude")).scarce == ()


def test_old_weights_lie_where_they_are_told_to_or_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders: list[Any] = []
    opened = undo._opened
    monkeypatch.setattr(undo, "_opened", lambda folder: folders.append(folder) or opened(folder))
    prune(mixture("mixtral"), PruningConfig(method="magnitude"), folder=tmp_path)
    prune(mixture("mixtral"), PruningConfig(method="magnitude"), undo=False)
    assert folders == [tmp_path]
    with pytest.raises(ModelError, match=r"folder='/nowhere' cannot hold the old weights: No such file"):
        prune(mixture("mixtral"), PruningConfig(method="magnitude"), folder="/nowhere")


def test_what_is_not_meant_stays() -> None:
    model = mixture("mixtral")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    config = PruningConfig(method="magnitude", targets=(r"experts\[0\]",), ignore=("down", r"layers\.1\."))
    report = prune(model, config)
    assert {linear.name.rpartition(".")[2] for linear in report.linears} <= {"gate", "up", "gate_up"}
    moved = [name for name, value in model.state_dict().items() if not torch.equal(value, before[name])]
    assert moved == ["model.layers.0.mlp.experts.gate_up_proj"]
    with pytest.raises(ModelError, match="targets: 'nothing' is found in none of the"):
        prune(model, PruningConfig(method="magnitude", targets=("nothing",)))
