"""Words as features of scikit-learn: rows stay aligned, and the usual tools work."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rdkit import Chem
from sklearn.base import clone
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils.estimator_checks import check_estimator
from torch_geometric.utils import from_smiles

from sparsebench.models.errors import ModelError
from sparsebench.models.graphsgpt import Tokenizer, TokenStatus, Vocabulary
from sparsebench.models.graphsgpt.model.configuration import GraphsGPTConfig
from sparsebench.models.graphsgpt.model.encoder import Graph2Seq
from sparsebench.models.graphsgpt.model.modeling import GraphsGPT
from sparsebench.models.graphsgpt.sklearn_api import GraphWords

from .model_cases import SIZES

SMILES = ["CCO", "c1ccccc1O", "CC(=O)N", "C", "CCN(CC)CC", "OCC1CCCC1"]
VOCABULARY = Vocabulary.improved([(6, 0), (7, 0), (8, 0)])


def config(**fields: Any) -> GraphsGPTConfig:
    return GraphsGPTConfig.of(VOCABULARY, **(SIZES | fields))


@pytest.fixture(scope="module")
def model() -> GraphsGPT:
    return GraphsGPT(config())


@torch.no_grad()
@pytest.mark.parametrize(("pool", "width"), [("first", 32), ("mean", 32), ("concat", 96)])
def test_features_are_the_words_whatever_the_batches(model: GraphsGPT, pool: Any, width: int):
    got = GraphWords(model, pool, batch_size=4).fit_transform(SMILES)
    words = model.encoder(Tokenizer(VOCABULARY)(SMILES).batch())
    expected = {"first": words[:, 0], "mean": words.mean(1), "concat": words.flatten(1)}[pool]
    assert got.dtype == np.float32 and got.shape == (6, width)
    np.testing.assert_allclose(got, expected.numpy(), atol=1e-5)
    np.testing.assert_allclose(GraphWords(model.encoder, pool).transform(SMILES), got, atol=1e-5)
    assert len(GraphWords(model, pool).get_feature_names_out()) == width


def test_strings_molecules_and_graphs_give_the_same(model: GraphsGPT):
    words = GraphWords(model)
    expected = words.transform(SMILES)
    np.testing.assert_allclose(words.transform([Chem.MolFromSmiles(text) for text in SMILES]), expected, atol=1e-6)
    np.testing.assert_allclose(words.transform([from_smiles(text) for text in SMILES]), expected, atol=1e-6)
    np.testing.assert_allclose(words.transform(np.array(SMILES)), expected, atol=1e-6)


def test_invalid_rows_are_nan_and_say_why(model: GraphsGPT):
    words = GraphWords(model, "mean")
    got = words.transform(["CCO", "C1CC", "[CH3]", "CCl", None, "C"])
    assert np.isnan(got).all(axis=1).tolist() == [False, True, True, True, True, False]
    assert words.status_.tolist() == [
        TokenStatus.OK,
        TokenStatus.INVALID,
        TokenStatus.RADICAL,
        TokenStatus.UNKNOWN_TOKEN,
        TokenStatus.NOT_A_MOLECULE,
        TokenStatus.OK,
    ]
    np.testing.assert_allclose(got[[0, 5]], words.transform(["CCO", "C"]), atol=1e-5)
    assert words.transform([]).shape == (0, 32) and words.transform(["Cl"]).shape == (1, 32)


def test_random_ids_of_a_published_model_are_not_used():
    words = GraphWords(Graph2Seq(config(encoder_ids="random")))
    np.testing.assert_array_equal(words.transform(SMILES), words.transform(SMILES))


def test_clones_and_pickles_give_the_same(model: GraphsGPT):
    words = GraphWords(model, "first", batch_size=2)
    expected = words.transform(SMILES)
    copied, restored = clone(words), pickle.loads(pickle.dumps(words))
    assert copied.model is not model and (copied.pool, copied.batch_size) == ("first", 2)
    np.testing.assert_array_equal(copied.transform(SMILES), expected)
    np.testing.assert_array_equal(restored.transform(SMILES), expected)


def test_pipeline_and_grid_search(model: GraphsGPT):
    y = np.array([len(text) for text in SMILES], dtype=float)
    pipeline = Pipeline([("words", GraphWords(model)), ("ridge", Ridge(alpha=1e-3))])
    search = GridSearchCV(pipeline, {"words__pool": ["mean", "concat"], "ridge__alpha": [1e-3, 1.0]}, cv=2)
    search.fit(SMILES, y)
    assert search.best_params_["words__pool"] in ("mean", "concat") and len(search.cv_results_["params"]) == 4
    np.testing.assert_allclose(pipeline.fit(SMILES, y).predict(SMILES), y, atol=0.5)
    filled = make_pipeline(GraphWords(model), SimpleImputer(), Ridge()).fit([*SMILES, "[CH3]"], [*y, 3.0])
    assert np.isfinite(filled.predict(["[CH3]"])).all()


def test_pandas_output(model: GraphsGPT):
    frame = GraphWords(model, "first").set_output(transform="pandas").fit_transform(SMILES)
    assert list(frame.columns[:2]) == ["word0", "word1"] and frame.shape == (6, 32)


def test_a_folder_is_a_model(model: GraphsGPT, tmp_path: Path):
    model.save_pretrained(tmp_path)
    for folder in (tmp_path, str(tmp_path)):
        np.testing.assert_array_equal(GraphWords(folder).fit_transform(SMILES), GraphWords(model).transform(SMILES))


TWO_AXES = "sklearn makes X one-dimensional, as for every estimator of strings, and then cuts or unpacks two axes of it"
EXPECTED_TO_FAIL = {
    "check_dont_overwrite_parameters": TWO_AXES,
    "check_f_contiguous_array_estimator": TWO_AXES,
    "check_transformer_general": TWO_AXES,
    "check_methods_sample_order_invariance": TWO_AXES,
    "check_methods_subset_invariance": TWO_AXES,
    "check_fit2d_1sample": TWO_AXES,
    "check_fit2d_1feature": TWO_AXES,
    "check_dict_unchanged": TWO_AXES,
    "check_estimator_sparse_array": "a sparse array of one dimension cannot take all the forms that sklearn tries",
}


def test_the_checks_of_scikit_learn_but_for_what_strings_forbid(model: GraphsGPT, tmp_path: Path):
    model.save_pretrained(tmp_path)  # a folder, since sklearn compares hashes of parameters, which tensors do not keep
    words = GraphWords(tmp_path)
    found = check_estimator(words, expected_failed_checks=EXPECTED_TO_FAIL, on_skip=None)
    outcomes = {check["check_name"]: check["status"] for check in found}
    assert {name for name, status in outcomes.items() if status == "xfail"} == set(EXPECTED_TO_FAIL)
    assert list(outcomes.values()).count("passed") >= 20


def test_what_cannot_be():
    with pytest.raises(ModelError, match="give a GraphsGPT, a Graph2Seq or a folder"):
        GraphWords().fit(SMILES)
    with pytest.raises(ModelError, match="pool='max' is not one of"):
        GraphWords(Graph2Seq(config()), "max").fit(SMILES)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="batch_size=0"):
        GraphWords(Graph2Seq(config()), batch_size=0).fit(SMILES)
    with pytest.raises(ModelError, match="has no vocabulary"):
        GraphWords(Graph2Seq(GraphsGPTConfig(hidden_size=32, num_hidden_layers=1))).fit(SMILES)
