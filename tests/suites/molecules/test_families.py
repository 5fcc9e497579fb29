"""Families that tasks ask for are those that backbones state."""

from sparsebench.suites.molecules.families import ENCODER, GENERATOR
from sparsebench.suites.runner.discovery.registry import entries


def test_every_family_has_backbones_and_their_names_tell() -> None:
    families = {entry.name: entry.constant("FAMILY", "") for entry in entries("backbone", "molecules").values()}
    assert {ENCODER, GENERATOR} <= set(families.values())
    assert {name for name, family in families.items() if family == ENCODER} == {
        "graph2seq",
        "graph2seq_random",
        "tiny_encoder",
    }
    assert {name for name, family in families.items() if family == GENERATOR} == {
        "graphsgpt",
        "graphsgpt_random",
        "tiny_generator",
    }
