"""Users and tokens of a server: adds, removes and lists them. The file holds hashes; a token is shown once."""

import argparse
import getpass
import sys
from pathlib import Path

from eocore.command import Command, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument("file", type=Path, help="file of users and tokens; made where there is none")
    actions = parser.add_subparsers(dest="action", required=True)
    for name, text in {
        "add": "add a user of the page, or change the password, which is asked for (or read from a piped input)",
        "token": "make a token for programs, or replace it; it is shown this once",
        "remove": "remove the user and the token of a name",
    }.items():
        actions.add_parser(name, help=text).add_argument("name")
    actions.add_parser("list", help="list names")


def run(arguments: argparse.Namespace) -> None:
    """Changes the file, or lists it. Raises ConfigError where a name or password cannot be used."""
    from eocore.errors import ConfigError
    from eocore.serve.access.accounts import Accounts

    if not arguments.file.exists() and arguments.action in ("list", "remove"):
        raise ConfigError(f"{arguments.file}: there is no such file. Make it: eo serve-users {arguments.file} add NAME")
    accounts = Accounts.read(arguments.file) if arguments.file.exists() else Accounts()
    if arguments.action == "list":
        say(*(f"user {name}" for name in accounts.users), *(f"token {name}" for name in accounts.tokens))
        return
    token = ""
    if arguments.action == "add":
        accounts.add_user(arguments.name, _password())
    elif arguments.action == "remove":
        accounts.remove(arguments.name)
    else:
        token = accounts.add_token(arguments.name)
    accounts.write(arguments.file)
    if token:
        say(token)  # only once it is kept: one that is shown and not kept opens nothing


def _password() -> str:
    """Typed twice, or the first line of a piped input. Raises ConfigError where the two differ."""
    from eocore.errors import ConfigError

    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    first = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != first:
        raise ConfigError("the two passwords differ. Nothing was changed; run the command again.")
    return first


COMMAND = Command(name="serve-users", description=__doc__, add_arguments=add_arguments, run=run)
