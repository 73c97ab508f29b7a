"""Settings from the environment."""

import pytest

from mesh.bus.settings import BrokerSettings
from mesh.process.settings import CommonSettings, Env, SettingsError
from mesh.rpc.settings import GrpcSettings
from mesh.stores.settings import DatabaseSettings

SECRET = "0123456789abcdef0123456789abcdef"


def test_every_problem_is_reported_at_once() -> None:
    """One run tells an operator all that is wrong."""
    env = Env(
        {"CLARION_METRICS_PORT": "eighty", "CLARION_LOG_LEVEL": "LOUD", "CLARION_AMQP_URL": "http://x", "CLARION_REFLECTION": "maybe"}
    )
    CommonSettings.from_env(env, metrics_port=9100)
    DatabaseSettings.from_env(env)
    BrokerSettings.from_env(env)
    GrpcSettings.from_env(env, port=8001)
    with pytest.raises(SettingsError) as caught:
        env.check()
    named = {problem.split(":")[0] for problem in caught.value.problems}
    assert named == {
        "CLARION_METRICS_PORT", "CLARION_LOG_LEVEL", "CLARION_SERVICE_SECRET", "CLARION_DATABASE_URL", "CLARION_AMQP_URL",
        "CLARION_REFLECTION",
    }  # fmt: skip


def test_values_of_secrets_and_urls_are_never_repeated() -> None:
    """A problem's text, and the repr of settings, hold no password."""
    env = Env({"CLARION_SERVICE_SECRET": "short-secret", "CLARION_DATABASE_URL": "mysql://u:hunter2@h/d"})
    CommonSettings.from_env(env, metrics_port=0)
    DatabaseSettings.from_env(env)
    assert "short-secret" not in "".join(env.problems)
    assert "hunter2" not in "".join(env.problems)
    good = Env({"CLARION_DATABASE_URL": "postgresql://u:hunter2@h/d"})
    assert "hunter2" not in repr(DatabaseSettings.from_env(good))


def test_defaults_fill_what_is_not_set() -> None:
    """Only the secret is required of the common settings."""
    env = Env({"CLARION_SERVICE_SECRET": SECRET})
    settings = CommonSettings.from_env(env, metrics_port=9100)
    env.check()
    assert settings.metrics_port == 9100
    assert settings.metrics_host == "127.0.0.1", "who reads the metrics knows how busy the system is, and what is failing"
    assert not GrpcSettings.from_env(env, port=9000).reflection, "it shows the whole schema"
    assert settings.log_level == "INFO"


@pytest.mark.parametrize("raw", ["nan", "inf", "-1", "1e99", "", "1_0"])
def test_numbers_outside_their_bounds_are_refused_or_defaulted(raw: str) -> None:
    """NaN and infinity are no numbers of seconds; empty means unset."""
    env = Env({"CLARION_DRAIN_S": raw})
    value = env.number("CLARION_DRAIN_S", 5.0, maximum=300)
    assert (value == 5.0 and not env.problems) if raw == "" else (bool(env.problems) or value == 10.0)


def test_one_half_of_a_key_pair_is_refused() -> None:
    """A certificate without a key can't serve."""
    env = Env({"CLARION_TLS_CERT_FILE": "/c.pem"})
    GrpcSettings.from_env(env, port=1)
    assert env.problems == ["CLARION_TLS_CERT_FILE, CLARION_TLS_KEY_FILE: must be given together"]


def test_a_misspelled_variable_is_named_with_the_one_that_was_meant() -> None:
    env = Env({"CLARION_SMPT_HOST": "mail.example.com", "CLARION_FCM_TIMEOUT_S": "3", "CLARION_GATEWAY_PORT_8000_TCP_ADDR": "10.0.0.1"})
    env.text("CLARION_SMTP_HOST")
    env.number("CLARION_SMTP_TIMEOUT_S", 60)
    assert env.unread() == [
        "CLARION_FCM_TIMEOUT_S: is not read here",
        "CLARION_SMPT_HOST: is not read here; did you mean CLARION_SMTP_HOST?",
    ]
    with pytest.raises(SettingsError, match=r"is required\n.*did you mean CLARION_SMTP_HOST"):
        env.check()
