"""One's own files -> a config, split annotation files in published formats, and what was guessed on the way."""
