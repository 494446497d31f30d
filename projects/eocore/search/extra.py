"""The libraries of the extra `search`: whether they are installed, asked before anything long begins."""

from importlib.util import find_spec

from eocore.errors import ConfigError

INDEXES = ("faiss", "geopandas", "pyarrow", "pandas")
SENTENCES = ("sentence_transformers",)


def check_extra(modules: tuple[str, ...] = INDEXES) -> None:
    """Raise ConfigError if a library is not installed.

    Args:
        modules: that are needed.
    """
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise ConfigError(
            f"search needs {', '.join(missing)}, not installed here. Install the extra: pip install 'eocore-earthmind[search]'."
        )
