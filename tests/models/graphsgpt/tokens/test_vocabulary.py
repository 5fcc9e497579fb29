import json

import pytest

from sparsebench.models.errors import ModelError
from sparsebench.models.graphsgpt.tokens.vocabulary import (
    BOS,
    FIRST_NODE,
    NEW_FRAGMENT,
    PAD,
    EdgeType,
    NodeType,
    Vocabulary,
)

BONDS = [(6, 8, 2), (6, 6, 1.5), (6, 7, 1)]


def test_improved_ids():
    vocabulary = Vocabulary.improved([(6, 0), (7, 1), (8, -1)])
    assert (PAD, BOS) == (0, 1)
    assert vocabulary.node_ids == {NodeType(6, 0): 2, NodeType(7, 1): 3, NodeType(8, -1): 4}
    assert vocabulary.edge_ids == {EdgeType(0, 0, 1): 5, EdgeType(0, 0, 2): 6, EdgeType(0, 0, 3): 7, NEW_FRAGMENT: 8}
    assert (vocabulary.first_edge, vocabulary.new_fragment, vocabulary.size) == (5, 8, 9)
    assert (vocabulary.node_classes, vocabulary.edge_classes) == (3, 5)


def test_faithful_ids():
    """Padding, beginning, 118 elements at 2..119, bonds from 120; with the published 92 bonds, 93 edge classes."""
    vocabulary = Vocabulary.faithful(BONDS)
    assert vocabulary.node_ids[NodeType(1, 0)] == FIRST_NODE == 2 and vocabulary.node_ids[NodeType(118, 0)] == 119
    assert vocabulary.edge_ids == {EdgeType(6, 6, 1.5): 120, EdgeType(6, 7, 1): 121, EdgeType(6, 8, 2): 122}
    assert vocabulary.new_fragment is None
    published = Vocabulary.faithful([(6, z, 1) for z in range(7, 99)])
    assert (published.node_classes, published.edge_classes) == (118, 93)


def test_default_covers_every_element_and_the_usual_ions():
    nodes = Vocabulary.improved().node_ids
    assert all(NodeType(element, 0) in nodes for element in range(1, 119))
    ions = [(7, 1), (8, -1), (16, 1), (11, 1), (17, -1), (20, 2), (30, 2), (26, 3), (15, 1), (5, -1), (1, 1), (17, 3)]
    assert all(NodeType(*ion) in nodes for ion in ions)
    assert NodeType(0, 0) not in nodes


@pytest.mark.parametrize("vocabulary", [Vocabulary.improved(), Vocabulary.faithful(BONDS)], ids=lambda v: v.mode)
def test_dict_and_back_through_json(vocabulary: Vocabulary):
    assert Vocabulary.from_dict(json.loads(json.dumps(vocabulary.to_dict()))) == vocabulary


def test_errors():
    with pytest.raises(ModelError, match="did you mean 'faithful'"):
        Vocabulary.from_dict(Vocabulary.improved().to_dict() | {"mode": "faithfull"})
    with pytest.raises(ModelError, match="has the fields"):
        Vocabulary.from_dict({"mode": "improved"})
    with pytest.raises(ModelError, match="none twice"):
        Vocabulary.improved([(6, 0), (6, 0)])
    with pytest.raises(ModelError, match="at least one"):
        Vocabulary.faithful([])
