"""Runs profiling/benchmark.py, whose --help says more; profiling/ is no installed package."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

if __name__ == "__main__":
    from profiling.benchmark import main

    sys.exit(main())
