import numpy as np
import pytest
import torch

from sparsebench.models.graphsgpt.tokens.batch import IS_NODE, MoleculeTokens, TokenBatch, collate, gather


def example(length: int, seed: int = 0) -> MoleculeTokens:
    """Not a molecule: node, edge, node, then edges and nodes at random."""
    generator = np.random.default_rng(seed)
    tokens = generator.integers(1, 120, size=(4, length), dtype=np.int16)
    tokens[IS_NODE] = generator.integers(0, 2, size=length)
    tokens[IS_NODE, :3] = [1, 0, 1][:length]
    return tokens


def slow_collate(molecules: list[MoleculeTokens]) -> TokenBatch:
    """The contract, token by token."""
    shape = (len(molecules), max((molecule.shape[1] for molecule in molecules), default=0))
    tokens, block = torch.zeros(shape, dtype=torch.int64), torch.zeros(shape, dtype=torch.int64)
    positions = torch.zeros(*shape, 2, dtype=torch.int64)
    is_node, mask = torch.zeros(shape, dtype=torch.bool), torch.zeros(shape, dtype=torch.bool)
    for row, molecule in enumerate(molecules):
        edges = 0
        for column, (token, first, second, node) in enumerate(molecule.T.tolist()):
            edges += not node
            tokens[row, column], is_node[row, column], mask[row, column] = token, bool(node), True
            positions[row, column] = torch.tensor([first, second])
            block[row, column] = 0 if edges < 2 else edges - 1
    lengths = torch.tensor([molecule.shape[1] for molecule in molecules], dtype=torch.int64)
    return TokenBatch(tokens=tokens, positions=positions, is_node=is_node, mask=mask, lengths=lengths, block=block)


def assert_same(found: TokenBatch, wanted: TokenBatch) -> None:
    for name, tensor in vars(wanted).items():
        assert torch.equal(vars(found)[name], tensor), name
        assert vars(found)[name].dtype == tensor.dtype, name


@pytest.mark.parametrize("lengths", [[], [0], [1], [5, 1, 0, 9], [7, 7], [3, 255]])
def test_collate_against_the_slow_reference(lengths: list[int]):
    molecules = [example(length, seed) for seed, length in enumerate(lengths)]
    assert_same(collate(molecules), slow_collate(molecules))


def test_blocks_of_a_ring():
    """n e n | e n | e: the third edge closes the ring alone."""
    tokens = np.zeros((4, 6), dtype=np.int16)
    tokens[IS_NODE] = [1, 0, 1, 0, 1, 0]
    assert collate([tokens]).block.tolist() == [[0, 0, 0, 1, 1, 2]]


def test_gather_in_any_order_and_twice():
    molecules = [example(length, length) for length in (4, 2, 6)]
    rows = np.zeros((13, 4), dtype=np.int16)
    np.concatenate([molecule.T for molecule in molecules], out=rows[:-1])
    starts, lengths = np.array([0, 4, 6]), np.array([4, 2, 6])
    chosen = np.array([2, 0, 2, 1])
    assert_same(gather(rows, starts[chosen], lengths[chosen]), slow_collate([molecules[index] for index in chosen]))


def test_to_keeps_every_tensor():
    batch = collate([example(4)])
    assert_same(batch.to("cpu"), batch)
    assert len(batch) == 1 and batch.to("meta").tokens.device.type == "meta"
