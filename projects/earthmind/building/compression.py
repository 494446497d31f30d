"""Whether what a config says of compression goes together."""

from typing import Any

from earthmind.losses import LossSettings
from eocore.errors import ConfigError


def check_compression(model: Any, losses: LossSettings, *, options: Any) -> None:
    """Raise ConfigError if images are compressed and another option needs them uncompressed.

    Args:
        model: of the task.
        losses: of the task.
        options: of the task.
    """
    found = model.config.compression
    if found is None:
        return
    if losses.attention:
        raise ConfigError(
            f"losses.attention is {losses.attention}, but with model.compression a [SEG] sees compression tokens, which have no place in "
            "the image. Set losses=dict(attention=0.0)."
        )
    if options.compile != "none":
        raise ConfigError(
            f"task.compile is '{options.compile}', but with model.compression every batch has windows of its own, for which layers would "
            "be compiled anew. Set it to 'none'."
        )
    longest = min(options.max_length, options.row_length or options.max_length)
    if found["window"] > longest:
        raise ConfigError(
            f"model.compression.window is {found['window']} vision tokens, but a sample has at most {longest} tokens, so no window would "
            "ever be full. Lower the window, or raise max_length and row_length."
        )
