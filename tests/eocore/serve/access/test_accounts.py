from pathlib import Path

import pytest

from eocore.errors import ConfigError
from eocore.serve.access.accounts import Accounts

PASSWORD = "correct horse"


@pytest.fixture(scope="module")
def accounts() -> Accounts:
    made = Accounts()
    made.add_user("ada", PASSWORD)
    return made


def test_a_user_is_known_by_the_password_alone(accounts: Accounts) -> None:
    assert accounts.is_user("ada", PASSWORD)
    for name, password in (("ada", "wrong horse"), ("ada", ""), ("bob", PASSWORD), ("", ""), ("ada", "x" * 100_000)):
        assert not accounts.is_user(name, password)


def test_the_file_holds_neither_passwords_nor_tokens_and_is_its_owners(accounts: Accounts, tmp_path: Path) -> None:
    token = accounts.add_token("script")
    accounts.write(tmp_path / "users.json")
    text = (tmp_path / "users.json").read_text()
    assert PASSWORD not in text and token not in text and token.removeprefix("eo-") not in text
    assert (tmp_path / "users.json").stat().st_mode & 0o777 == 0o600
    again = Accounts.read(tmp_path / "users.json")
    assert again.is_user("ada", PASSWORD) and again.token_name(token) == "script"
    assert again.token_name(token + "x") is None and again.token_name("") is None


def test_equal_passwords_have_different_hashes(accounts: Accounts) -> None:
    accounts.add_user("eve", PASSWORD)
    assert accounts.users["eve"] != accounts.users["ada"]
    accounts.remove("eve")
    assert not accounts.is_user("eve", PASSWORD)
    with pytest.raises(ConfigError, match="no user or token 'eve'"):
        accounts.remove("eve")


@pytest.mark.parametrize("name", ["", "a b", "../x", "x" * 65, "a\nb", "-x"])
def test_names_are_plain(accounts: Accounts, name: str) -> None:
    with pytest.raises(ConfigError, match="expected 1 to 64 letters"):
        accounts.add_token(name)


def test_a_short_password_is_refused(accounts: Accounts) -> None:
    with pytest.raises(ConfigError, match="expected 8 to 1000"):
        accounts.add_user("ada", "short")


@pytest.mark.parametrize(
    "content",
    ["", "[]", '{"users": 3}', '{"more": {}}', '{"users": {"ada": "plain"}}', '{"users": {"ada": "scrypt$9999999$8$1$AA==$AA=="}}'],
)
def test_a_broken_file_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "users.json").write_text(content)
    with pytest.raises(ConfigError, match=r"users.json: .*(Move it away|Take that user out).*eo serve-users .*users.json add NAME"):
        Accounts.read(tmp_path / "users.json")


def test_a_name_that_is_not_there_is_not_removed() -> None:
    made = Accounts(tokens={"script": "0"})
    with pytest.raises(ConfigError, match=r"no user or token 'scrip'. Did you mean 'script'\? Users: none; tokens: script. Nothing was"):
        made.remove("scrip")


def test_a_missing_file_says_how_it_is_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"eo serve-users .*none.json add NAME"):
        Accounts.read(tmp_path / "none.json")
