"""Prompt templates: as many as upstream has, found by name."""

import pytest

from eocore.errors import ConfigError
from ms_clip.upstream.templates import TEMPLATES, find_templates


@pytest.mark.parametrize(("name", "count"), [("clip", 3), ("msclip", 50), ("rs5m", 105)])
def test_templates_are_as_many_as_upstream_has_each_once(name: str, count: int) -> None:
    templates = find_templates(name)
    assert len(templates) == len(set(templates)) == count and all(template.count("{label}") == 1 for template in templates)
    assert TEMPLATES[name] is templates


def test_some_are_as_upstream_words_them() -> None:
    assert "The image shows {label}." in find_templates("msclip") and "a bad satellite image of the {label}." in find_templates("msclip")
    assert "an aerial image of the hard to see {label}." in find_templates("rs5m")


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no templates 'msclp'\. Did you mean 'msclip'\? Choices: clip, msclip, rs5m"):
        find_templates("msclp")
