"""A missing library is told with the extra that brings it."""

import pytest

from eocore.errors import ConfigError
from eocore.search.extra import check_extra


def test_what_is_installed_is_enough() -> None:
    check_extra(("json",))


def test_what_is_missing_is_told() -> None:
    with pytest.raises(
        ConfigError, match=r"search needs no_such_library, not installed here\. Install the extra: pip install '.*\[search\]'"
    ):
        check_extra(("json", "no_such_library"))
