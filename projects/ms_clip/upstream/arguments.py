"""What the upstream commands' lines have in common."""

import argparse

WORDS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def truth(text: str) -> bool:
    """True or False, as a word. Raises ArgumentTypeError for another."""
    if text.lower() not in WORDS:
        raise argparse.ArgumentTypeError(f"{text!r}: expected True or False")
    return WORDS[text.lower()]
