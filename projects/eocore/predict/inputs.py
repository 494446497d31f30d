"""Names of the images that a question on the command line may be about; imports nothing, so that `--help` is quick."""

OPTICAL = "optical"
"""An image that is rgb or multispectral as its sensor tells."""
ROLES = ("rgb", "multispectral", "sar")
"""Roles for which the sensor of a file can be told."""
INPUTS = (OPTICAL, *ROLES)
"""Each is an option of the command line."""
FORMATS = ("jsonl", "csv", "geojson")
"""Of the answers to many images; JSON lines are written in any case."""
