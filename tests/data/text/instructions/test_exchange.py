"""Prompts and their parts."""

from sparsebench.data.text.instructions.exchange import PARTS, Exchange, part_of, place_of


def exchange(prompt: str, answer: str = "a", name: str = "set") -> Exchange:
    return Exchange("logic", name, (("system", "Be brief."), ("user", prompt)), answer)


def test_equal_prompts_are_in_one_part_whatever_their_case_space_set_and_answer():
    first, second = exchange("What  is it?"), exchange("what is\nIT?", "b", "other")
    assert first.prompt == "Be brief.\nWhat  is it?"
    assert first.digest == second.digest
    assert first.digest != exchange("What is that?").digest


def test_a_tenth_each_is_held_out_and_the_order_is_random_in_each_part():
    digests = [exchange(str(number)).digest for number in range(5000)]
    parts = [part_of(digest) for digest in digests]
    assert set(parts) == set(PARTS)
    assert 400 < parts.count("val") < 600 and 400 < parts.count("test") < 600
    # Were the order that of the bytes that choose the part, the parts would be ordered too.
    held_out = sorted(digest for digest in digests if part_of(digest) == "val")
    assert [place_of(digest) for digest in held_out] != sorted(place_of(digest) for digest in held_out)
