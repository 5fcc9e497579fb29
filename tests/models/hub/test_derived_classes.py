"""Classes made at run time."""

import copy
import pickle

from sparsebench.models.hub.derived_classes import derive, source_of


class Louder:
    def say(self) -> str:
        return super().say() + "!"  # pyright: ignore[reportAttributeAccessIssue]


class Source:
    def say(self) -> str:
        return "hello"


class Grown(derive(Louder, Source)):
    pass


def test_a_derived_class_is_made_once_and_leads_back() -> None:
    made = derive(Louder, Source)
    assert made is derive(Louder, Source) and made.__name__ == "SparsebenchSource"
    assert made().say() == "hello!" and issubclass(made, Source)
    assert source_of(made) is Source and source_of(Source) is Source and source_of(Grown) is Source


def test_objects_and_classes_are_copied_and_pickled() -> None:
    for cls in (derive(Louder, Source), Grown):
        assert pickle.loads(pickle.dumps(cls)) is cls and copy.deepcopy(cls) is cls
        assert type(pickle.loads(pickle.dumps(cls()))) is cls and type(copy.deepcopy(cls())) is cls
