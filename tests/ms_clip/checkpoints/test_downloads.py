"""ms_clip/checkpoints/downloads.py: every upstream name is a download whose import fills the folder that the name stands for."""

import argparse
import shlex

import pytest

from eocore.commands.import_weights import add_arguments
from ms_clip.checkpoints.downloads import DOWNLOADS, FOLDERS


@pytest.mark.parametrize("name", FOLDERS)
def test_the_import_that_a_download_names_fills_the_folder_of_its_name(name: str) -> None:
    files = DOWNLOADS[FOLDERS[name]]
    program, script, *arguments = shlex.split(files.command.splitlines()[0])
    assert (program, script) == ("python", "tools/import_weights.py")
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    parsed = parser.parse_args(arguments)
    assert str(parsed.out) == f"pretrained/{FOLDERS[name]}"
    assert [str(source).split("/")[1] for source in parsed.sources] == [files.folder]
