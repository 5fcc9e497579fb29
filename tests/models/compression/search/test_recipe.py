"""What a recipe says."""

from sparsebench.models.compression.search.options import Option
from sparsebench.models.compression.search.prices import Price
from sparsebench.models.compression.search.recipe import Decision, Recipe, Tried


def test_it_names_every_mixture() -> None:
    before = Option(8, 64)
    decisions = (
        Decision(layer="layers.0.mlp", block=0, before=before, after=Option(6, 32, 3), damage=0.25),
        Decision(layer="layers.1.mlp", block=1, before=before, after=Option(0, 0, None, dropped=True), damage=0.5),
        Decision(layer="layers.2.mlp", block=2, before=before, after=before, damage=0.0),
    )
    recipe = Recipe(
        decisions=decisions, kind="bytes", limit=60, before=Price(100, 40), after=Price(58, 20), damage=0.75, unit=1,
        exact=True,
    )  # fmt: skip
    assert str(recipe).split("\n") == [
        "100 -> 58 bytes, 40 -> 20 active parameters, predicted damage 0.75",
        "layers.0.mlp: 6 of 8 experts, 32 of 64 neurons, 3 bits",
        "layers.1.mlp: dropped",
        "layers.2.mlp: 8 of 8 experts, 64 of 64 neurons, weights as stored",
    ]


def test_it_says_what_it_was_compared_with_and_what_nobody_predicted() -> None:
    decision = Decision(layer="layers.0.mlp", block=0, before=Option(8, 64), after=Option(5, 64), damage=None)
    recipe = Recipe(
        decisions=(decision,), kind="bytes", limit=60, before=Price(100, 40), after=Price(58, 40), damage=None, unit=1,
        exact=True, name="other", tried=(Tried("searched", 0.5), Tried("other", 0.25)),
    )  # fmt: skip
    head, _, *tried = str(recipe).split("\n")
    assert head.endswith("damage not predicted")
    assert tried == ["searched: 0.5 on held-out batches", "other: 0.25 on held-out batches"]
