"""The error of a sample whose parts do not fit together; imports nothing, so that readers of annotations may use it."""


class SampleError(ValueError):
    """Text, images, regions and masks of one sample do not fit together."""
