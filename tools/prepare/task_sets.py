"""A release -> images/ and annotations.json: python tools/prepare/task_sets.py --set UCM --source UCMerced_LandUse --out data/UCM"""

import sys

from eocore.command import command
from eocore.converters.command import release_parser, show_counts
from eocore.converters.task_sets import RELEASES, prepare_task_set


@command
def main() -> None:
    """Runs the command; returns the exit status."""
    parser = release_parser(__doc__, holds="the release, unpacked; data/README.md has the layouts")
    parser.add_argument("--set", required=True, choices=list(RELEASES), help="which release it is")
    arguments = parser.parse_args()
    counts = prepare_task_set(arguments.source, arguments.out, release=arguments.set, copy=arguments.copy)
    show_counts(arguments.out, counts)


if __name__ == "__main__":
    sys.exit(main())
