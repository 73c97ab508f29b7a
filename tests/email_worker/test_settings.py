"""What email_worker asks of its environment."""

import pytest

from email_worker.settings import SmtpSettings
from mesh.settings import Env, SettingsError

NEEDED = {"CLARION_SMTP_HOST": "mail.example.com", "CLARION_SMTP_FROM": "Clarion <no-reply@example.com>"}


def read(**more: str) -> SmtpSettings:
    env = Env({**NEEDED, **more})
    settings = SmtpSettings.from_env(env)
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


def test_the_password_shows_in_no_repr() -> None:
    assert "hunter2" not in repr(read(CLARION_SMTP_USER="clarion", CLARION_SMTP_PASSWORD="hunter2"))
