"""A build as a program, to be killed: python build_captions.py INDEX TABLE NUM_WORKERS."""

import sys
from pathlib import Path

from eocore.jobs.engine import local_executor
from eocore.search.building import build_index
from eocore.search.embedding import EmbedOptions
from eocore.search.sources import captions_of

sys.path.insert(0, str(Path(__file__).parent))

if __name__ == "__main__":
    from letters import Letters

    options = EmbedOptions(4, local_executor(int(sys.argv[3])))
    build_index(Path(sys.argv[1]), captions_of(Path(sys.argv[2])), encoder=Letters(pause_s=0.002), options=options, kind="ivf")
