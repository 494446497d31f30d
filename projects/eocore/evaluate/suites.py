"""Suites: groups of benchmarks that one command runs. A system or a user adds more:

SUITES.register("floods", "before and after")
"""

from eocore.choices import Choices

SUITES: Choices[str] = Choices(
    "suite",
    {
        "image": "questions about whole images: answers, classes, captions",
        "region": "questions about regions of images",
        "pixel": "masks and boxes",
        "change": "what changed between two images: masks and captions",
        "video": "questions about videos",
        "retrieval": "images sought by texts, and texts by images",
        "multispectral": "land cover of multispectral and SAR patches",
        "earthmind-bench": "EarthMind-Bench",
    },
)
"""Name -> what it holds, of groups of benchmarks that one command runs; a system or a user registers more."""
