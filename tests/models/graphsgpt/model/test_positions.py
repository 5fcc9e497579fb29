import torch

from sparsebench.models.graphsgpt.model.positions import (
    GraphPositions,
    StableEmbedding,
    orthonormal,
    random_permutations,
)

from ..model_cases import small


def test_codes_start_orthonormal() -> None:
    model = small()
    for half in (model.encoder, model.decoder):
        codes = half.embed.positions.codes
        assert codes.shape == (128, 128)
        torch.testing.assert_close(codes @ codes.T, torch.eye(128), atol=1e-5, rtol=0)
    assert not torch.equal(model.encoder.embed.positions.codes, model.decoder.embed.positions.codes)


def test_rows_of_fewer_codes_are_orthonormal() -> None:
    codes = orthonormal(5, 9, torch.Generator().manual_seed(0))
    torch.testing.assert_close(codes @ codes.T, torch.eye(5), atol=1e-6, rtol=0)


def test_a_position_is_the_normed_projection_of_both_codes() -> None:
    places = GraphPositions(6, 8, 10)
    torch.nn.init.normal_(places.codes)
    pairs = torch.tensor([[[0, 0], [0, 4]], [[5, 1], [1, 5]]])
    expected = places.norm(places.projection(places.codes[pairs].flatten(2)))
    torch.testing.assert_close(places(pairs), expected)


def test_a_permutation_renames_the_atoms_of_each_molecule() -> None:
    places = GraphPositions(4, 8, 10)
    torch.nn.init.normal_(places.codes)
    pairs = torch.tensor([[[0, 1]], [[0, 1]]])
    permutation = torch.tensor([[2, 3, 0, 1], [1, 0, 3, 2]])
    renamed = torch.tensor([[[2, 3]], [[1, 0]]])
    assert torch.equal(places(pairs, permutation), places(renamed))


def test_permutations_are_drawn_from_the_generator() -> None:
    def draw(seed: int) -> torch.Tensor:
        return random_permutations(3, 7, torch.Generator().manual_seed(seed), torch.device("cpu"))

    assert torch.equal(draw(0), draw(0)) and not torch.equal(draw(0), draw(1))
    assert torch.equal(draw(0).sort(dim=1).values, torch.arange(7).expand(3, -1))


def test_table_of_a_stable_embedding() -> None:
    embedding = StableEmbedding(5, 8)
    assert torch.equal(embedding.table(3), embedding(torch.arange(3)))
    torch.testing.assert_close(embedding.table().mean(1), torch.zeros(5), atol=1e-6, rtol=0)
