"""Options of generation: what they become, and what is refused."""

from typing import Any

import pytest
from transformers import CompileConfig

from eocore.errors import ConfigError
from eocore.predict.generation import generation_settings


def test_compile_needs_no_more_than_its_name() -> None:
    settings = generation_settings({"compile": True, "repetition_penalty": 1.1})
    assert settings == {"repetition_penalty": 1.1, "cache_implementation": "static", "compile_config": CompileConfig()}
    assert generation_settings({"compile": False, "cache_implementation": "static"}) == {
        "cache_implementation": "static",
        "disable_compile": True,
    }
    assert generation_settings({}) == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"temprature": 0.5},
            r"option temprature=0\.5: there is no such option\. Options: do_sample, .* Beside them compile=true compiles",
        ),
        ({"validate": True}, "option validate=True: there is no such option"),
        ({"max_new_tokens": 5}, "option max_new_tokens=5: it has an option of its own"),
        ({"num_beams": 2}, "option num_beams=2: masks belong to one answer"),
        ({"prompt_lookup_num_tokens": 3}, "option prompt_lookup_num_tokens=3: answers are written token by token"),
        ({"temperature": "hot"}, "option temperature='hot': expected a number above 0"),
        ({"compile": True, "cache_implementation": "dynamic"}, "a compiled step needs a cache of fixed size"),
        ({"compile": "yes"}, "generation option compile='yes': expected true, false or fields of CompileConfig"),
        ({"compile": {"modus": "x"}}, "expected true, false or fields of CompileConfig .*modus"),
    ],
)
def test_what_is_wrong_in_options_is_said(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        generation_settings(options)
