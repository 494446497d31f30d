"""A removal as a program, to be killed: python remove_items.py INDEX KEY. Says when it begins."""

import sys
from pathlib import Path

import faiss  # noqa: F401  (loaded before, so that the kill meets the removal)
import geopandas  # noqa: F401

from eocore.search.changing import Selection, remove_from_index

if __name__ == "__main__":
    print("ready", flush=True)
    remove_from_index(Path(sys.argv[1]), Selection([sys.argv[2]]))
