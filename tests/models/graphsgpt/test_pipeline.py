"""The pipeline: rows and statuses, agreement of its verbs with each other, and what it refuses."""

import copy
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from rdkit import Chem
from torch_geometric.utils import from_smiles

from sparsebench.models.errors import ModelError
from sparsebench.models.graphsgpt.conditioning import RequestWarning
from sparsebench.models.graphsgpt.decoding.config import DecodingConfig
from sparsebench.models.graphsgpt.model.modeling import GraphsGPT
from sparsebench.models.graphsgpt.pipeline import GraphsGPTPipeline
from sparsebench.models.graphsgpt.tokens.status import TokenStatus

from .model_cases import SMILES, batch, faithful, small

PROPERTIES = {"logp": (2.0, 1.0), "qed": (0.7, 0.1)}
BAD = {
    "": TokenStatus.EMPTY,
    "C" * 500: TokenStatus.TOO_MANY_ATOMS,
    "C" * 1_000_000: TokenStatus.TOO_MANY_ATOMS,
    "[Og]": TokenStatus.UNKNOWN_TOKEN,
    "C[CH2]": TokenStatus.RADICAL,
    "[13CH4]": TokenStatus.ISOTOPE,
    "[2H]C": TokenStatus.ISOTOPE,
    "C1CC": TokenStatus.INVALID,
    "CC(C)(C)(C)C": TokenStatus.INVALID,
    3.5: TokenStatus.NOT_A_MOLECULE,
    None: TokenStatus.NOT_A_MOLECULE,
}


def pipeline(**fields: object) -> GraphsGPTPipeline:
    return GraphsGPTPipeline(small(properties=PROPERTIES, **fields), batch_size=5)


def overfitted() -> GraphsGPTPipeline:
    """A model that knows 16 molecules."""
    model = small(hidden_size=64, intermediate_size=128, num_words=4)
    tokens, optimizer = batch(SMILES), torch.optim.AdamW(model.parameters(), lr=3e-3)
    model.train()
    for _ in range(400):
        loss = model(tokens).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if loss < 0.02:
            break
    return GraphsGPTPipeline(model)


def test_sixteen_molecules_come_back_and_lines_end_in_them() -> None:
    pipe = overfitted()
    canonical = [Chem.CanonSmiles(smiles) for smiles in SMILES]
    encoded = pipe.encode(SMILES)
    back = pipe.decode(encoded.words)
    assert [(made.smiles, made.status, made.repaired) for made in back] == [(one, "ok", 0) for one in canonical]
    line = pipe.interpolate(SMILES[0], SMILES[1], 5)
    assert (line[0].smiles, line[-1].smiles) == (canonical[0], canonical[1])
    assert all(made.mol is not None for made in line)
    assert [made.smiles for made in pipe.hybridize(SMILES[2], SMILES[:3], range(4))] == [canonical[2]] * 3
    assert [made.smiles for made in pipe.hybridize(SMILES[2], SMILES[:3], [])] == canonical[:3]
    shots = pipe.generate(4, reference=SMILES[:2], noise=0.0)
    assert [made.smiles for made in shots] == [canonical[0], canonical[1]] * 2
    scores = pipe.score(SMILES)
    np.testing.assert_allclose(scores, [made.log_prob for made in back], rtol=1e-4, atol=1e-4)
    assert (pipe.score(SMILES, encoded.words.roll(1, 0)) < scores).all()


def test_bad_molecules_keep_their_row() -> None:
    pipe = pipeline()
    items = ["CCO", *BAD, Chem.MolFromSmiles("CCN"), from_smiles("CCN")]
    encoded = pipe.encode(items)
    assert encoded.words.shape == (len(items), 3, 32)
    assert [TokenStatus(code) for code in encoded.status[1:-2]] == list(BAD.values())
    assert encoded.ok.tolist() == [0, len(items) - 2, len(items) - 1]
    assert all(encoded.reasons[row] for row in range(1, len(items) - 2))
    bad = torch.isnan(encoded.words).flatten(1).all(1)
    assert bad.tolist() == [row not in encoded.ok for row in range(len(items))]
    assert torch.equal(encoded.words[-1], encoded.words[-2])
    made = pipe.decode(encoded.words)
    assert [m.status == "invalid" for m in made] == bad.tolist() and made[1].smiles is None
    assert torch.isnan(pipe.score(items)).tolist() == bad.tolist()
    assert pipe.encode([]).words.shape == (0, 3, 32) and pipe.decode(encoded.words[:0]) == []


@torch.no_grad()
def test_words_do_not_depend_on_the_batch() -> None:
    pipe = pipeline()
    one_by_one = torch.cat([pipe.encode([smiles]).words for smiles in SMILES])
    torch.testing.assert_close(pipe.encode(SMILES).words, one_by_one, atol=1e-5, rtol=0)
    torch.testing.assert_close(pipe.encode(SMILES[0]).words, one_by_one[:1])
    few = GraphsGPTPipeline(pipe.model, num_words=2).encode(SMILES)
    assert few.words.shape == (16, 2, 32)


def test_every_molecule_that_is_made_can_be_read() -> None:
    pipe, draw = pipeline(), torch.Generator().manual_seed(0)
    made = pipe.generate(30, generator=draw, config=DecodingConfig(temperature=3.0, max_atoms=20))
    made += pipe.generate(30, scaffold="c1ccccc1", properties={"logp": [1.0] * 30}, generator=draw)
    made += pipe.generate(30, reference=SMILES, noise=2.0, generator=draw)
    assert all(m.smiles and m.mol is not None for m in made)
    assert sum(m.repaired for m in made) > 0
    free = pipe.generate(60, config=DecodingConfig(constrained=False, temperature=3.0), generator=draw)
    assert any(m.smiles is None and m.reason for m in free)


def test_what_would_be_repaired_is_drawn_again_row_by_row() -> None:
    pipe = pipeline()
    words = pipe.encode(SMILES).words
    hot = {"temperature": 1.0, "max_atoms": 20}
    seeds = [torch.Generator().manual_seed(0) for _ in range(3)]
    repaired = pipe.decode(words, DecodingConfig(**hot), seeds[0])
    again = pipe.decode(words, DecodingConfig(**hot, redraws=40), seeds[1])
    assert any(one.repaired for one in repaired) and {one.draws for one in repaired} == {1}
    # What needed no repair is what it was; the others were drawn again until they needed none.
    for first, one in zip(repaired, again, strict=True):
        assert (one.draws == 1) == first.as_drawn and (one.as_drawn or one.draws == 41)
        if first.as_drawn:
            assert one.smiles == first.smiles
    assert sum(one.as_drawn for one in again) > sum(one.as_drawn for one in repaired)
    few = pipe.decode(words, DecodingConfig(**hot, redraws=1), seeds[2])
    assert max(one.draws for one in few) == 2 and all(one.smiles for one in few), "what is left is repaired"


def test_requests_draw_by_the_generator_alone() -> None:
    pipe = pipeline()
    drawn = [pipe.generate(8, properties={"qed": 0.9}, generator=torch.Generator().manual_seed(s)) for s in (0, 0, 1)]
    smiles = [[made.smiles for made in row] for row in drawn]
    assert smiles[0] == smiles[1] != smiles[2]


def test_mixed_molecules_stand_beside_mixed_labels() -> None:
    pipe, draw = pipeline(), torch.Generator().manual_seed(0)
    labels = torch.arange(7.0)[:, None].repeat(1, 2)
    labels[1, 0] = torch.nan
    made, mixed = pipe.mixup([*SMILES[:6], "C1CC"], labels, generator=draw)
    assert len(made) == 7 and made[6].smiles is None and mixed[6].isnan().all()
    assert all(one.smiles for one in made[:6]) and 1 <= mixed[:, 0].isnan().sum() - 1 <= 6
    assert ((mixed[:6, 1] >= 0) & (mixed[:6, 1] <= 5)).all()
    again = pipe.mixup([*SMILES[:6], "C1CC"], labels, generator=torch.Generator().manual_seed(0))[1]
    assert torch.equal(again.nan_to_num(), mixed.nan_to_num())
    _, soft = pipe.mixup(SMILES[:3], torch.tensor([0, 1, 2]), classes=3, generator=draw)
    torch.testing.assert_close(soft.sum(1), torch.ones(3))


def test_atom_ids_that_are_drawn_are_drawn_by_the_seed() -> None:
    pipe = GraphsGPTPipeline(small(encoder_ids="random"))
    assert not torch.equal(pipe.encode(SMILES[:4]).words, pipe.encode(SMILES[:4]).words)
    made = [pipe.generate(4, reference=SMILES[:4], noise=0.1, seed=seed) for seed in (1, 1, 2)]
    like = [[one.log_prob for one in row] for row in made]
    assert like[0] == like[1] != like[2]
    labels = torch.arange(4.0)[:, None]
    mixed = [pipe.mixup(SMILES[:4], labels)[0] for _ in range(2)]
    assert [one.log_prob for one in mixed[0]] == [one.log_prob for one in mixed[1]]


def test_scores_of_molecules_that_can_be_gone_through_once() -> None:
    pipe = pipeline()
    assert torch.equal(pipe.score(iter(SMILES[:2])), pipe.score(SMILES[:2]))


def test_requests_that_cannot_be_followed_are_warned_of() -> None:
    pipe = pipeline()
    with pytest.warns(RequestWarning, match=r"logp=50 is outside .*, -1 to 5"):
        pipe.generate(1, properties={"logp": 50})
    with pytest.warns(RequestWarning, match="loses its stereo, .*: CC1CCCNC1 is used"):
        pipe.generate(1, scaffold="C[C@H]1CCCNC1")


def test_a_table_of_pandas_and_a_seed() -> None:
    pipe = pipeline()
    table = pd.DataFrame({"id": [1, 2], "SMILES": SMILES[:2]})
    assert torch.equal(pipe.encode(table).words, pipe.encode(SMILES[:2]).words)
    assert pipe.encode("mols.smi").reasons[0].endswith("encode FILE OUT.parquet`")
    made = [pipe.generate(4, seed=seed) for seed in (1, 1, 2)]
    assert [one.smiles for one in made[0]] == [one.smiles for one in made[1]] != [one.smiles for one in made[2]]
    assert repr(pipe).endswith("parameters, 3 words of 32)")


def test_what_it_refuses() -> None:
    pipe = pipeline()
    with pytest.raises(ModelError, match="did you mean 'logp'"):
        pipe.generate(2, properties={"lopg": 1.0})
    with pytest.raises(ModelError, match="wanted to be inf: give finite numbers"):
        pipe.generate(2, properties={"logp": float("inf")})
    with pytest.raises(ModelError, match=r"n=2\.0 must be a whole number"):
        pipe.generate(2.0)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="a number is given as seed="):
        pipe.generate(2, generator=3)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="which is no number"):
        pipe.generate(2, properties={"logp": "much"})  # type: ignore[dict-item]
    with pytest.raises(ModelError, match=r"words of shape \(2, 32\)"):
        pipe.decode(np.zeros((2, 32)))
    with pytest.raises(ModelError, match="one value or 2"):
        pipe.generate(2, properties={"logp": [1.0, 2.0, 3.0]})
    with pytest.raises(ModelError, match="scaffold 'C1CC' cannot be used"):
        pipe.generate(2, scaffold="C1CC")
    with pytest.raises(ModelError, match="not both"):
        pipe.generate(2, reference=SMILES, properties={"logp": 1.0})
    with pytest.raises(ModelError, match="takes no requests"):
        GraphsGPTPipeline(small()).generate(2)
    with pytest.raises(ModelError, match="few-shot needs reference"):
        pipe.generate(2, reference=[])
    with pytest.raises(ModelError, match="'C1CC' cannot be used"):
        pipe.interpolate("CC", "C1CC", 3)
    with pytest.raises(ModelError, match=r"must lie in 0\.\.2"):
        pipe.hybridize("CC", ["CCC"], [3])
    with pytest.raises(ModelError, match="at least 1"):
        GraphsGPTPipeline(pipe.model, batch_size=0)
    with pytest.raises(ModelError, match="words of 3 molecules for 2"):
        pipe.score(SMILES[:2], pipe.encode(SMILES[:3]).words)
    with pytest.raises(ModelError, match="4 labels for 3 molecules"):
        pipe.mixup(SMILES[:3], torch.zeros(4, 1))
    with pytest.raises(ModelError, match="similarities, not probabilities"):
        GraphsGPTPipeline(faithful()).score(["CC"])


def test_a_scaffold_beyond_the_limits_of_decoding_is_refused() -> None:
    pipe = pipeline()
    for limits in ({"max_atoms": 5}, {"max_edges": 5}):
        with pytest.raises(ModelError, match=r"has 6 atoms and 6 edges.*max_atoms=\d+ and max_edges=\d+"):
            pipe.generate(1, scaffold="c1ccccc1", config=DecodingConfig(**limits))
    (made,) = pipe.generate(1, scaffold="c1ccccc1", config=DecodingConfig(max_atoms=6, max_edges=6))
    assert made.smiles == "c1ccccc1" and made.status == "truncated"
    with pytest.raises(ModelError, match="prefix has no atom"):
        pipe.decode(pipe.encode(["C"]).words, prefix=pipe.tokenize(["C1CC"])[0])


@pytest.mark.parametrize("encoding", ["magnitude", "faithful"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_models_of_lower_precision_do_all_of_it(dtype: torch.dtype, encoding: str) -> None:
    model = small(properties=PROPERTIES, property_encoding=encoding).to(dtype)
    pipe = GraphsGPTPipeline(model, batch_size=5)
    made = pipe.generate(2, properties={"logp": 3.0}, generator=torch.Generator().manual_seed(0))
    assert all(one.smiles for one in made)
    words = pipe.encode(SMILES[:2]).words
    assert words.isfinite().all() and len(pipe.decode(words.numpy())) == 2
    assert pipe.score(SMILES[:2]).isfinite().all()


def test_copies_and_files_of_a_pipeline_decode_alike() -> None:
    pipe = pipeline()
    words = pipe.encode(SMILES[:2]).words
    expected = [made.smiles for made in pipe.decode(words)]
    for other in (copy.deepcopy(pipe), pickle.loads(pickle.dumps(pipe))):
        assert [made.smiles for made in other.decode(words)] == expected


def test_a_saved_model_gives_the_same(tmp_path: Path) -> None:
    pipe = pipeline()
    pipe.model.save_pretrained(tmp_path)
    back = GraphsGPTPipeline.from_pretrained(tmp_path)
    assert isinstance(back.model, GraphsGPT)
    torch.testing.assert_close(back.encode(SMILES).words, pipe.encode(SMILES).words)
