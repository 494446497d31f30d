"""The types of the processor's keyword arguments and their defaults name the same arguments."""

from typing import Any, get_type_hints

import pytest

from earthmind.model.processor_arguments import CallArguments, CallOptions, EncodeArguments, EncodeOptions


@pytest.mark.parametrize(("arguments", "options"), [(EncodeArguments, EncodeOptions), (CallArguments, CallOptions)])
def test_every_argument_has_a_type_and_a_default(arguments: Any, options: Any) -> None:
    assert get_type_hints(options) == get_type_hints(arguments)
    assert options()
    assert not arguments.__required_keys__


@pytest.mark.parametrize("options", [EncodeOptions, CallOptions])
def test_an_unknown_argument_is_named(options: Any) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'mask'"):
        options(mask=[])
