"""The data sets of evaluation under their names: importing this module registers them, for configs that name them and systems that learn
from them. `eocore.evaluate.custom_dataset` reads one's own JSON lines; those of training alone are in `eocore.data.registered`.
"""

from eocore.data import registered as _registered  # noqa: F401
from eocore.evaluate import custom_dataset  # noqa: F401
from eocore.evaluate.benchmarks import caption, change, grounding, large, multispectral, region, scene, ships, videos, vqa  # noqa: F401
