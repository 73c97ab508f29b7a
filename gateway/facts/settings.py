"""Which providers post events, and what of them is recorded."""

from dataclasses import dataclass, field
from typing import Self

from gateway.facts.sendgrid import load_key
from gateway.facts.sns import TOPIC
from mesh.process.settings import Env
from naming.bounce_address import bounces_from_env


@dataclass(frozen=True, slots=True)
class FactSettings:
    """A provider without a key, or without topics, is not there. `opens` asks for the fact that a mail was opened."""

    sendgrid_key: str = ""
    mailgun_key: str = field(default="", repr=False)
    ses_topics: tuple[str, ...] = ()
    opens: bool = False

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """Everything is off by default."""
        sendgrid = env.text("CLARION_SENDGRID_KEY", "")
        try:
            if sendgrid:
                load_key(sendgrid)
        except ValueError:
            env.problems.append(
                "CLARION_SENDGRID_KEY: must be the verification key of the signed event webhook, as SendGrid shows it (base64)"
            )
        topics = env.listed("CLARION_SES_TOPICS")
        if not all(TOPIC.fullmatch(topic) for topic in topics):
            env.problems.append(
                "CLARION_SES_TOPICS: must be ARNs of SNS topics, separated by commas, such as arn:aws:sns:eu-west-1:123456789012:ses"
            )
        return cls(
            sendgrid_key=sendgrid,
            mailgun_key=env.secret("CLARION_MAILGUN_KEY", ""),
            ses_topics=topics,
            opens=env.flag("CLARION_RECORD_OPENS", False),
        )


@dataclass(frozen=True, slots=True)
class BounceSettings:
    """Where mails about mails come in. Without a domain nothing listens."""

    domain: str = ""
    secret: str = field(default="", repr=False)
    host: str = ""
    port: int = 0

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """Port 0 means any free one."""
        domain, secret = bounces_from_env(env)
        return cls(domain, secret, env.text("CLARION_HOST", "0.0.0.0"), env.integer("CLARION_BOUNCE_PORT", 8025, maximum=65535))
