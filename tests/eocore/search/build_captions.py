"""A build as a program, to be killed: python build_captions.py INDEX TABLE NUM_WORKERS."""

import sys
from pathlib import Path

from eocore.search.building import BuildOptions, build_index
from eocore.search.sources import captions_of

sys.path.insert(0, str(Path(__file__).parent))

if __name__ == "__main__":
    from letters import Letters

    options = BuildOptions(batch_size=4, num_workers=int(sys.argv[3]), kind="ivf")
    build_index(Path(sys.argv[1]), captions_of(Path(sys.argv[2])), encoder=Letters(pause_s=0.002), options=options)
