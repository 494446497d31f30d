"""AerithVLM by the name that its README imports: `from aerithvlm import AerithVLM`."""

from aerith.upstream.calls import AerithVLM

__all__ = ["AerithVLM"]
