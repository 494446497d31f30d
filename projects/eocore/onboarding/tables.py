"""Tables of one's own: their good rows; what is wrong with the others is told and does not stop the work."""

from pathlib import Path

from eocore.data.formats.entries import Entry, collecting_faults
from eocore.data.formats.tables import read_table
from eocore.errors import DataError
from eocore.onboarding.choices import Findings


def read_rows(path: Path, findings: Findings) -> list[Entry]:
    """The good rows of a table, without white space around texts. Rows that break the form are added to what is skipped.

    Args:
        path: of the table.
        findings: takes the others.

    Raises:
        DataError: the file is missing, cannot be read, or holds no good row.
        ConfigError: another kind of file, or Parquet without its library.
    """
    with collecting_faults() as faults:
        rows = read_table(path)
    for fault in faults:
        findings.skip(str(fault).split(": ", 1)[0], fault)
    if not rows:
        first = f"; the first of {len(faults)} that are broken: {faults[0]}" if faults else ""
        raise DataError(f"{path}: no row can be used{first}. Correct the file, or name another one.")
    return [Entry({name: _trimmed(cell) for name, cell in row.values.items() if _trimmed(cell) != ""}, row.source) for row in rows]


def _trimmed(cell: object) -> object:
    return cell.strip() if isinstance(cell, str) else cell
