"""Worker processes find the module of the tests' work as the tests do."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
