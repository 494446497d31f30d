"""The builders of tiny models that the tests of EarthMind use."""

import importlib.util
from pathlib import Path

_PATH = Path(__file__).resolve().parent.parent / "earthmind" / "conftest.py"
_SPEC = importlib.util.spec_from_file_location("earthmind_builders", _PATH)
assert _SPEC and _SPEC.loader
_BUILDERS = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_BUILDERS)

make_tokenizer, make_tiny = _BUILDERS.make_tokenizer, _BUILDERS.make_tiny
make_fields, make_config = _BUILDERS.make_fields, _BUILDERS.make_config
