import math

import pytest

from eocore.replaced import replaced


class Thing:
    """With an attribute of the class and one of the object."""

    shared = 1

    def __init__(self) -> None:
        self.own = 2


def test_an_attribute_is_back_afterwards():
    with replaced(math, "pi", value=3):
        assert math.pi == 3
    assert math.pi > 3.1


def test_an_attribute_of_the_class_is_not_left_on_the_object():
    thing = Thing()
    with replaced(thing, "shared", value=5), replaced(thing, "own", value=6):
        assert (thing.shared, thing.own, Thing.shared) == (5, 6, 1)
    assert vars(thing) == {"own": 2} and thing.shared == 1


def test_it_is_back_after_an_error():
    thing = Thing()
    with pytest.raises(ZeroDivisionError), replaced(thing, "own", value=6):
        raise ZeroDivisionError
    assert thing.own == 2


def test_what_does_not_exist_cannot_be_replaced():
    with pytest.raises(AttributeError, match="absent"), replaced(Thing(), "absent", value=1):
        raise AssertionError("not reached")
