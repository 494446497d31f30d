"""The commands of `eo`, one a file; the scripts of tools/ run the same functions."""
