"""What email_worker asks of its environment."""

import pytest

from email_worker.settings import MailSettings, SmtpSettings
from mesh.process.settings import Env, SettingsError

NEEDED = {"CLARION_SMTP_HOST": "mail.example.com", "CLARION_SMTP_FROM": "Clarion <no-reply@example.com>"}


def read(**more: str) -> SmtpSettings:
    env = Env({**NEEDED, **more})
    settings = MailSettings.from_env(env)
    env.check()
    (server,) = settings.servers
    return server


def read_several(**more: str) -> MailSettings:
    env = Env({"CLARION_SMTP_FROM": "no-reply@example.com", "CLARION_SMTP_PROVIDERS": "primary, backup", **more})
    settings = MailSettings.from_env(env)
    env.check()
    return settings


def test_starttls_is_required_unless_switched_off() -> None:
    assert (read().tls, read().port) == ("starttls", 587)
    assert (read(CLARION_SMTP_TLS="tls").port, read(CLARION_SMTP_TLS="none").port) == (465, 25)


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({"CLARION_SMTP_TLS": "maybe"}, "CLARION_SMTP_TLS"),
        ({"CLARION_SMTP_FROM": "nobody"}, "CLARION_SMTP_FROM"),
        ({"CLARION_SMTP_USER": "clarion"}, "CLARION_SMTP_PASSWORD"),
        ({"CLARION_SMTP_POOL_SIZE": "0"}, "CLARION_SMTP_POOL_SIZE"),
    ],
)
def test_what_is_wrong_is_named(wrong: dict[str, str], name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        read(**wrong)


def ladder(text: str) -> tuple[float, ...]:
    env = Env({**NEEDED, "CLARION_EMAIL_RETRIES": text})
    settings = MailSettings.from_env(env)
    env.check()
    return settings.retries_s


def test_the_retry_ladder_is_a_list_of_waits() -> None:
    assert ladder("") == (2, 4, 8)
    assert ladder("2s, 4s,8s,5m,30m,2h") == (2, 4, 8, 300, 1800, 7200)


@pytest.mark.parametrize("wrong", ["2", "2s,,4s", "0s", "8d", "169h", "soon", ",".join(["1s"] * 21)])
def test_a_ladder_that_is_none_is_named_with_an_example(wrong: str) -> None:
    with pytest.raises(SettingsError, match="CLARION_EMAIL_RETRIES: must be 1 to 20 waits between 1s and 7 days, such as 2s,4s"):
        ladder(wrong)


def test_the_password_shows_in_no_repr() -> None:
    assert "hunter2" not in repr(read(CLARION_SMTP_USER="clarion", CLARION_SMTP_PASSWORD="hunter2"))


def test_several_servers_have_their_own_addresses_and_credentials_and_share_the_rest() -> None:
    settings = read_several(
        CLARION_SMTP_PRIMARY_HOST="a.example.com", CLARION_SMTP_PRIMARY_WEIGHT="3", CLARION_SMTP_PRIMARY_USER="clarion",
        CLARION_SMTP_PRIMARY_PASSWORD="hunter2", CLARION_SMTP_BACKUP_HOST="b.example.com", CLARION_SMTP_BACKUP_TLS="tls",
        CLARION_SMTP_BACKUP_RATE_PER_S="14", CLARION_SMTP_POOL_SIZE="5", CLARION_SMTP_BACKUP_POOL_SIZE="2", CLARION_SMTP_RAMP_S="10",
    )  # fmt: skip
    primary, backup = settings.servers
    assert (primary.name, primary.host, primary.port, primary.weight, primary.rate_per_s) == ("smtp.primary", "a.example.com", 587, 3, 0)
    assert (backup.name, backup.host, backup.port, backup.weight, backup.rate_per_s) == ("smtp.backup", "b.example.com", 465, 1, 14)
    assert (primary.pool_size, backup.pool_size, settings.ramp_s) == (5, 2, 10)
    assert (primary.user, backup.user, backup.password) == ("clarion", "", "")


def test_everything_that_is_wrong_with_several_servers_is_told_at_once_and_no_secret_with_it() -> None:
    with pytest.raises(SettingsError) as caught:
        read_several(
            CLARION_SMTP_PRIMARY_PASSWORD="hunter2",
            CLARION_SMTP_PRIMARY_WEIGHT="-1",
            CLARION_SMTP_BACKUP_HOST="b",
            CLARION_SMTP_BACKUP_PORT="x",
        )
    problems = str(caught.value)
    for name in ("PRIMARY_HOST", "PRIMARY_USER", "PRIMARY_WEIGHT", "BACKUP_PORT"):
        assert f"CLARION_SMTP_{name}" in problems
    assert "hunter2" not in problems


@pytest.mark.parametrize("names", ["primary,primary", "Primary", "a b", "1st", ",".join(f"s{number}" for number in range(17))])
def test_names_of_servers_are_plain_words(names: str) -> None:
    with pytest.raises(SettingsError, match="CLARION_SMTP_PROVIDERS"):
        read_several(CLARION_SMTP_PROVIDERS=names)


def test_somebody_must_have_a_share() -> None:
    with pytest.raises(SettingsError, match="above 0"):
        read_several(
            CLARION_SMTP_PRIMARY_HOST="a", CLARION_SMTP_BACKUP_HOST="b", CLARION_SMTP_PRIMARY_WEIGHT="0", CLARION_SMTP_BACKUP_WEIGHT="0"
        )
