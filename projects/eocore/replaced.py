"""An attribute of something that is not ours, replaced for a while."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def replaced(owner: Any, name: str, *, value: Any) -> Iterator[None]:
    """Within it, `owner.name` is `value`; afterwards it is what it was, whether it belonged to the object or to its class.

    Args:
        owner: a module, class or object.
        name: of an attribute that exists.
        value: to replace it with.
    """
    is_own = name in vars(owner)
    before = vars(owner)[name] if is_own else getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if is_own:
            setattr(owner, name, before)
        else:
            delattr(owner, name)
