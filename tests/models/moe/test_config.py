import pytest

from sparsebench.models.moe.config import MoEConfig


def test_scale_counts_routed_experts_only() -> None:
    assert MoEConfig(num_experts=8, num_shared=2, top_k=2, scale="paper").scale_value == 3.0


NOTHING: frozenset[str] = frozenset()
ACTIVATIONS = frozenset({"activations"})
BOTH = frozenset({"activations", "gradients"})


@pytest.mark.parametrize(
    ("fields", "requires", "needs"),
    [
        ({}, NOTHING, NOTHING),
        ({"split": "cluster"}, NOTHING, NOTHING),
        ({"num_shared": 1}, NOTHING, ACTIVATIONS),
        ({"num_shared": 1, "importance": "gradient"}, NOTHING, {"gradients"}),
        ({"split": "coact"}, ACTIVATIONS, ACTIVATIONS),
        ({"split": "gradient"}, BOTH, BOTH),
        ({"split": "gradient", "importance": "activation"}, ACTIVATIONS, ACTIVATIONS),
        ({"split": "residual", "num_shared": 1}, BOTH, BOTH),
        ({"split": "cmoe", "num_shared": 1, "importance": "gradient"}, ACTIVATIONS, ACTIVATIONS),
        ({"router_init": "energy"}, ACTIVATIONS, ACTIVATIONS),
        ({"router_init": "analytic"}, NOTHING, NOTHING),
        ({"router": "glu", "router_init": "analytic"}, ACTIVATIONS, ACTIVATIONS),
        ({"scale": "calibrated"}, ACTIVATIONS, ACTIVATIONS),
        ({"align": True}, ACTIVATIONS, ACTIVATIONS),
    ],
)
def test_what_a_conversion_needs(fields: dict, requires: frozenset, needs: frozenset) -> None:
    config = MoEConfig(**fields)
    assert config.requires == requires and config.needs == needs


def test_importance_follows_the_split_unless_given() -> None:
    assert MoEConfig(split="gradient_share").importance == "gradient"
    assert MoEConfig(split="cluster").importance == "activation"
    assert MoEConfig(split="residual", num_shared=1, importance="activation").importance == "activation"


@pytest.mark.parametrize(
    ("fields", "starts"), [({}, 1), ({"faithful": True}, 10), ({"faithful": True, "clustering_starts": 3}, 3)]
)
def test_starts_of_k_means_are_those_of_the_release_in_faithful_mode(fields: dict, starts: int) -> None:
    assert MoEConfig(**fields).kmeans_starts == starts


def test_a_list_of_layers_becomes_a_tuple() -> None:
    assert hash(MoEConfig(layers=[0, 2])) == hash(MoEConfig(layers=(0, 2)))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"top_k": 9}, r"top_k=9 must lie in 1\.\.8"),
        ({"top_k": 7, "num_shared": 2}, r"1\.\.6"),
        ({"split": "sequental"}, "did you mean 'sequential'"),
        ({"num_shared": -1}, "cannot be negative"),
        ({"num_shared": 8}, r"num_shared=8 of num_experts=8 leave none to choose from: num_shared must lie in 0\.\.7"),
        ({"balance_coef": -1.0}, "must be 0 or more"),
        ({"capacity": 0.0}, "capacity=0.0 must be a positive number"),
        ({"layers": ()}, "must be 'all' or different"),
        ({"layers": (1, 1)}, "must be 'all' or different"),
        ({"layers": (-1,)}, "from 0 on"),
        ({"router": "mlp", "router_init": "energy"}, "use 'random' or 'zeros'"),
        ({"router": "glu"}, "use 'analytic'"),
        ({"straight_through": True, "top_k": 1, "score": "softmax_topk", "renorm": False}, "renorm=False"),
        ({"router_init": "centroids"}, "use router_init='energy'"),
        ({"router_init": "centroids", "split": "gradient"}, "clusters='tokens'"),
        ({"split": "residual"}, "set num_shared"),
        ({"clustering_starts": 0}, "clustering_starts=0 must be 1 or more"),
    ],
)
def test_bad_values(fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MoEConfig(**fields)
