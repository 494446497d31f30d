"""Sensor settings: which sensors a model is given; the same samples are predicted once per setting. A system or a user adds more:

SETTINGS.register("thermal", Setting())
"""

from dataclasses import dataclass

from eocore.choices import Choices


@dataclass(frozen=True)
class Setting:
    """One sensor setting; a benchmark says which images are fed under it.

    Attributes:
        greyed: role whose image is replaced by an even grey, "" = none: what remains is what the other sensors contribute.
    """

    greyed: str = ""


FUSED = "fused"
"""The setting with which scores compare every other one."""

SETTINGS: Choices[Setting] = Choices(
    "sensor setting",
    {
        "optical": Setting(),
        "sar": Setting(),
        "multispectral": Setting(),
        FUSED: Setting(),
        "grey_sar": Setting(greyed="sar"),
        "grey_rgb": Setting(greyed="rgb"),
    },
)
"""Name -> setting, in the order of tables."""
