"""The errors users of the framework meet, one class for each kind of cause.

Every message says what was found, what was expected, what follows and what to do; data errors name file and line.
"""


class EOError(Exception):
    """Base of all errors the framework raises on purpose."""


class ConfigError(EOError):
    """A config names something that does not exist, or gives a value that cannot be used."""


class DataError(EOError):
    """A data file is missing, broken, or disagrees with what describes it."""


class AnnotationError(DataError):
    """An annotation file breaks its format; the message starts with file:line or file#entry."""


class DuplicateError(AnnotationError):
    """Two records share a sample id."""


class BandError(DataError):
    """A band, sensor or unit is unknown, missing, or in the wrong place."""


class AlignmentError(DataError):
    """Placeholders, tiles, masks or [SEG] tokens of one sample do not count up."""


class LengthError(DataError):
    """A sample is longer than the configured token limit."""


class CheckpointError(EOError):
    """A checkpoint is missing, broken, or does not fit the model."""
