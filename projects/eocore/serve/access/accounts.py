"""Who may use a server: users with passwords for the page, tokens for programs. The file holds hashes alone."""

import base64
import hashlib
import hmac
import json
import re
import secrets
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from eocore.errors import ConfigError
from eocore.files import write_file, writing
from eocore.text import did_you_mean

COST, BLOCK, LANES = 2**15, 8, 1
"""Of scrypt: 32 MiB and about 0.1 s a try. Source: OWASP, Password Storage Cheat Sheet."""
MEMORY = 64 * 1024**2
SALT_BYTES, KEY_BYTES = 16, 32
TOKEN_BYTES = 32
MIN_PASSWORD, MAX_PASSWORD = 8, 1000
OWNER_ONLY = 0o600
TOKEN_MARK = "eo-"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    users: dict[str, str] = {}
    tokens: dict[str, str] = {}


@dataclass
class Accounts:
    """Users and tokens.

    Attributes:
        users: name -> "scrypt$cost$block$lanes$salt$key", the last two in base64.
        tokens: name -> SHA-256 of the token, in hex: a token is random, so that nothing slower is needed.
    """

    users: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "Accounts":
        """Those of a file. Raises ConfigError where it is missing or broken."""
        try:
            found = _File.model_validate_json(path.read_bytes())
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read ({error.strerror}). Make it: eo serve-users {path} add NAME") from error
        except ValidationError as error:
            raise ConfigError(
                f"{path}: no file of users and tokens ({error.error_count()} errors). Move it away and make it anew: "
                f"eo serve-users {path} add NAME"
            ) from error
        for name, hashed in found.users.items():
            try:
                _parts(hashed)
            except ValueError as error:
                raise ConfigError(
                    f"{path}: the hash of user '{name[:80]}' is broken. Take that user out of the file, then: "
                    f"eo serve-users {path} add NAME"
                ) from error
        return cls(found.users, found.tokens)

    def write(self, path: Path) -> None:
        """Writes the file, readable by its owner alone. Raises OutputError where it cannot."""
        with writing(path, "the file of users and tokens"):
            write_file(path, json.dumps({"users": self.users, "tokens": self.tokens}, indent=1) + "\n")
            path.chmod(OWNER_ONLY)

    def add_user(self, name: str, password: str) -> None:
        """Adds a user, or changes the password. Raises ConfigError where name or password cannot be used."""
        _check_name(name)
        if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
            raise ConfigError(f"a password of {len(password)} characters; expected {MIN_PASSWORD} to {MAX_PASSWORD}.")
        salt = secrets.token_bytes(SALT_BYTES)
        key = _key(password, salt, cost=(COST, BLOCK, LANES))
        texts = [base64.b64encode(part).decode("ascii") for part in (salt, key)]
        self.users[name] = "$".join(["scrypt", str(COST), str(BLOCK), str(LANES), *texts])

    def add_token(self, name: str) -> str:
        """Adds a token, or replaces it; returned is what a client sends, which is kept nowhere. Raises ConfigError for a bad name."""
        _check_name(name)
        token = TOKEN_MARK + secrets.token_urlsafe(TOKEN_BYTES)
        self.tokens[name] = hashlib.sha256(token.encode()).hexdigest()
        return token

    def remove(self, name: str) -> None:
        """Removes user and token of a name. Raises ConfigError where there is neither."""
        found = [self.users.pop(name, None), self.tokens.pop(name, None)]
        if found == [None, None]:
            users, tokens = (", ".join(names) or "none" for names in (self.users, self.tokens))
            hint = did_you_mean(name, [*self.users, *self.tokens])
            raise ConfigError(f"there is no user or token '{name}'.{hint} Users: {users}; tokens: {tokens}. Nothing was changed.")

    def is_user(self, name: str, password: str) -> bool:
        """Whether the password is the user's; as slow for a name that is not there, so that names cannot be guessed."""
        hashed = self.users.get(name)
        cost, salt, key = _parts(hashed) if hashed else self._nobody
        return hmac.compare_digest(_key(password[:MAX_PASSWORD], salt, cost=cost), key) and hashed is not None

    def token_name(self, token: str) -> str | None:
        """The name of a token; None for one that is not there."""
        hashed = hashlib.sha256(token.encode()).hexdigest()
        return next((name for name, known in self.tokens.items() if hmac.compare_digest(known, hashed)), None)

    @cached_property
    def _nobody(self) -> tuple[tuple[int, int, int], bytes, bytes]:
        return (COST, BLOCK, LANES), secrets.token_bytes(SALT_BYTES), secrets.token_bytes(KEY_BYTES)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ConfigError(f"name {name[:80]!r}: expected 1 to 64 letters, digits and . _ @ - beginning with a letter or digit.")


def _key(password: str, salt: bytes, *, cost: tuple[int, int, int]) -> bytes:
    n, r, p = cost
    return hashlib.scrypt(password.encode("utf-8", "surrogatepass"), salt=salt, n=n, r=r, p=p, maxmem=MEMORY, dklen=KEY_BYTES)


def _parts(hashed: str) -> tuple[tuple[int, int, int], bytes, bytes]:
    """Cost, salt and key. Raises ValueError where the hash is none of `add_user`."""
    kind, n, r, p, salt, key = hashed.split("$")
    cost = (int(n), int(r), int(p))
    if kind != "scrypt" or 128 * cost[0] * cost[1] > MEMORY:
        raise ValueError(kind)
    return cost, base64.b64decode(salt, validate=True), base64.b64decode(key, validate=True)
