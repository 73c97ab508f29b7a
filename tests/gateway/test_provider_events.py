"""Events of SendGrid, Amazon SES and Mailgun, rebuilt from their public documentation: signatures first, then what they say."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.facts.door import ProviderEvents
from gateway.facts.events import BadSignature
from gateway.facts.mailgun import Mailgun
from gateway.facts.models import Fresh, Report
from gateway.facts.sendgrid import SendGrid
from gateway.facts.ses import Ses
from gateway.facts.settings import FactSettings
from gateway.facts.sns import SnsMessages
from gateway.facts.use_cases import Facts
from gateway.notifications.models import Fact
from mesh.errors import Internal, InvalidArgument, NotFound, PermissionDenied, ServiceError, Unauthenticated, Unavailable
from mesh.process.settings import Env
from tests.provider_requests import GRID_PUBLIC, ID, grid_event, grid_request
from transcoding.errors import Rendered

TOPIC = "arn:aws:sns:us-west-2:123456789012:clarion"
CERTIFICATE = "https://sns.us-west-2.amazonaws.com/SimpleNotificationService-f3ecfb7224c7233fe7bb5f59f96de52f.pem"


async def test_sendgrids_own_published_example_is_verified() -> None:
    """Key, signature, timestamp and body of the tests of its library: byte for byte."""
    key = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g=="
    headers = {
        "x-twilio-email-event-webhook-signature": (
            "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM="
        ),
        "x-twilio-email-event-webhook-timestamp": "1600112502",
    }
    body = (
        b'[{"email":"hello@world.com","event":"dropped","reason":"Bounced Address",'
        b'"sg_event_id":"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA",'
        b'"sg_message_id":"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0",'
        b'"smtp-id":"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>","timestamp":1600112492}]\r\n'
    )
    assert await SendGrid(key).read(headers, body) == []  # of a mail that was not ours
    with pytest.raises(BadSignature):
        await SendGrid(key).read(headers, body.replace(b"hello", b"jello"))


async def test_sendgrids_events_say_what_became_of_a_mail() -> None:
    events = [
        grid_event("processed"), grid_event("deferred", response="400 try again later", attempt="5"),
        grid_event("delivered", response="250 OK"),
        grid_event("bounce", type="bounce", status="5.0.0", reason="500 unknown recipient example@test.com"),
        grid_event("bounce", type="blocked", status="5.7.1", reason="550 blocked", sg_event_id="sg-blocked"),
        grid_event("spamreport"), grid_event("open"), grid_event("dropped", reason="Bounced Address"),
        grid_event("delivered", clarion_notification_id="someone else's"), "no event",
    ]  # fmt: skip
    reports = await SendGrid(GRID_PUBLIC).read(*grid_request(events))
    assert [one.fact for one in reports] == [
        Fact.DELIVERED, Fact.HARD_BOUNCED, Fact.SOFT_BOUNCED, Fact.COMPLAINED, Fact.OPENED, Fact.SOFT_BOUNCED,
    ]  # fmt: skip
    hard = reports[1]
    assert (str(hard.notification_id), hard.source_key, hard.reason, hard.address) == (
        ID,
        "sendgrid:sg-bounce",
        "5_0_0",
        "example@test.com",
    )
    assert (hard.detail, hard.trusted) == ("500 unknown recipient (address)", True)
    assert hard.time == datetime.fromtimestamp(1513299569, UTC)


@pytest.mark.parametrize("change", ["body", "timestamp", "signature", "none"])
async def test_sendgrids_signature_covers_body_and_time(change: str) -> None:
    headers, body = grid_request([grid_event("bounce")])
    if change == "body":
        body += b" "
    elif change == "none":
        headers = {}
    else:
        headers[f"x-twilio-email-event-webhook-{change}"] = "AAAA"
    with pytest.raises(BadSignature, match="CLARION_SENDGRID_KEY"):
        await SendGrid(GRID_PUBLIC).read(headers, body)


# ---- Amazon SES

AMAZON_KEY = rsa.generate_private_key(65537, 2048)


def certificate() -> bytes:
    name, now = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sns.amazonaws.com")]), datetime.now(UTC)
    built = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(AMAZON_KEY.public_key()).serial_number(1)
    built = built.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    return built.sign(AMAZON_KEY, SHA256()).public_bytes(Encoding.PEM)


class Amazon:
    """Answers the addresses of SNS."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.away = False

    async def fetch(self, url: str) -> bytes:
        if self.away:
            raise Unavailable("no answer")
        self.asked.append(url)
        return certificate() if url.endswith(".pem") else b"<ConfirmSubscriptionResponse/>"


def sns(kind: str, message: str, *, version: str = "2", **more: str) -> bytes:
    fields = {
        "Type": kind, "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324", "TopicArn": TOPIC, "Message": message,
        "Timestamp": "2012-05-02T00:54:06.655Z", "SignatureVersion": version, "SigningCertURL": CERTIFICATE,
    } | more  # fmt: skip
    names = sorted(name for name in ("Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"))
    signed = "".join(f"{name}\n{fields[name]}\n" for name in names if name in fields)
    signature = AMAZON_KEY.sign(signed.encode(), PKCS1v15(), SHA256() if version == "2" else SHA1())
    return json.dumps({**fields, "Signature": base64.b64encode(signature).decode()}).encode()


def ses_event(kind: str, **parts: Any) -> str:
    mail = {
        "timestamp": "2017-08-05T00:40:02.012Z", "source": "Sender Name <sender@example.com>", "messageId": "EXAMPLE7c191be45",
        "destination": ["recipient@example.com"], "headers": [{"name": "From", "value": "Sender Name <sender@example.com>"}],
        "tags": {"ses:configuration-set": ["ConfigSet"], "clarion_notification_id": [ID]},
    }  # fmt: skip
    return json.dumps({"eventType": kind, "mail": mail, **parts})


BOUNCE = {
    "bounceType": "Permanent", "bounceSubType": "General", "timestamp": "2017-08-05T00:41:02.669Z",
    "bouncedRecipients": [{
        "emailAddress": "recipient@example.com", "action": "failed", "status": "5.1.1",
        "diagnosticCode": "smtp; 550 5.1.1 user unknown",
    }],
    "feedbackId": "01000157c44f053b-61b59c11-9236-11e6-8f96-7be8aexample-000000", "reportingMTA": "dsn; mta.example.com",
}  # fmt: skip
COMPLAINT = {
    "complainedRecipients": [{"emailAddress": "recipient@example.com"}], "timestamp": "2017-08-05T00:41:02.669Z",
    "feedbackId": "01000157c44f053b-61b59c11-9236-11e6-8f96-7be8aexample-000001", "complaintFeedbackType": "abuse",
}  # fmt: skip
DELIVERY = {
    "timestamp": "2016-10-19T23:21:04.133Z", "processingTimeMillis": 11893, "recipients": ["recipient@example.com"],
    "smtpResponse": "250 2.6.0 Message received", "reportingMTA": "mta.example.com",
}  # fmt: skip


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize(
    ("message", "fact", "reason"),
    [
        (ses_event("Bounce", bounce=BOUNCE), Fact.HARD_BOUNCED, "5_1_1"),
        (ses_event("Bounce", bounce=BOUNCE | {"bounceType": "Transient", "bouncedRecipients": []}), Fact.SOFT_BOUNCED, "GENERAL"),
        (ses_event("Complaint", complaint=COMPLAINT), Fact.COMPLAINED, "ABUSE"),
        (ses_event("Delivery", delivery=DELIVERY), Fact.DELIVERED, ""),
        (ses_event("Open", open={"timestamp": "2017-08-09T22:00:19.652Z"}), Fact.OPENED, ""),
    ],
)
async def test_what_ses_publishes(version: str, message: str, fact: Fact, reason: str) -> None:
    [report] = await Ses(SnsMessages([TOPIC], Amazon().fetch)).read({}, sns("Notification", message, version=version))
    assert (str(report.notification_id), report.fact, report.reason, report.trusted) == (ID, fact, reason, True)
    assert report.address == ("recipient@example.com" if "recipient" in json.dumps(json.loads(message) | {"mail": 0}) else "")


async def test_a_notification_without_tags_is_found_by_the_mails_header() -> None:
    event = json.loads(ses_event("Bounce", bounce=BOUNCE))
    event["notificationType"] = event.pop("eventType")
    event["mail"] = {"headers": [{"name": "X-Clarion-Notification-ID", "value": ID}]}
    [report] = await Ses(SnsMessages([TOPIC], Amazon().fetch)).read({}, sns("Notification", json.dumps(event)))
    assert str(report.notification_id) == ID


async def test_a_subscription_is_confirmed_at_amazon_only_and_certificates_are_kept() -> None:
    amazon = Amazon()
    source = Ses(SnsMessages([TOPIC], amazon.fetch))
    address = "https://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription&TopicArn=x&Token=2336412f37"
    assert await source.read({}, sns("SubscriptionConfirmation", "You have chosen", SubscribeURL=address, Token="2336412f37")) == []
    assert await source.read({}, sns("Notification", "Successfully validated SNS topic for Amazon SES event publishing.")) == []
    assert amazon.asked == [CERTIFICATE, address]
    for other in (
        "https://sns.s3.amazonaws.com/",
        "https://sns.us-west-2.amazonaws.com.evil.example/",
        "http://sns.us-west-2.amazonaws.com/",
        "https://169.254.169.254/",
    ):
        with pytest.raises(InvalidArgument, match="SubscribeURL"):
            await source.read({}, sns("SubscriptionConfirmation", "x", SubscribeURL=other, Token="2336412f37"))
    assert amazon.asked == [CERTIFICATE, address]


@pytest.mark.parametrize("kind", ["not-spam", "auth-failure"])
async def test_feedback_that_blames_no_mail_is_no_complaint(kind: str) -> None:
    """It would keep the address of who said that it is no spam from all mail, for good."""
    message = ses_event("Complaint", complaint=COMPLAINT | {"complaintFeedbackType": kind})
    assert await Ses(SnsMessages([TOPIC], Amazon().fetch)).read({}, sns("Notification", message)) == []


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/x.pem", "http://sns.us-west-2.amazonaws.com/x.pem", "https://sns.us-west-2.amazonaws.com@evil.example/x.pem",
        "https://sns.s3.amazonaws.com/x.pem", "https://sns.s3-us-west-2.amazonaws.com/x.pem", "https://sns.eu-west-1.amazonaws.com/x.pem",
        "https://sns.us-west-2.amazonaws.com:8443/x.pem", "https://sns.us-west-2.amazonaws.com/x", "https://s3.amazonaws.com/x.pem", "x",
        "https://sns.us-west-2.amazonaws.com/x.pem?Action=GetTopicAttributes", "https://sns.us-west-2.amazonaws.com/x.pem#.pem",
    ],
)  # fmt: skip
async def test_a_certificate_of_elsewhere_is_not_even_fetched(url: str) -> None:
    amazon = Amazon()
    with pytest.raises(BadSignature, match="SigningCertURL"):
        await Ses(SnsMessages([TOPIC], amazon.fetch)).read({}, sns("Notification", "{}", SigningCertURL=url))
    assert amazon.asked == []


async def test_what_amazon_has_not_signed_for_our_topic_is_refused() -> None:
    amazon = Amazon()
    source = Ses(SnsMessages([TOPIC], amazon.fetch))
    with pytest.raises(BadSignature, match="TopicArn"):
        await source.read({}, sns("Notification", "{}", TopicArn="arn:aws:sns:us-west-2:999999999999:other"))
    with pytest.raises(BadSignature, match="SignatureVersion"):
        await source.read({}, sns("Notification", "{}", version="3"))
    changed = json.loads(sns("Notification", "{}")) | {"Message": "{ }"}
    with pytest.raises(BadSignature, match="Signature"):
        await source.read({}, json.dumps(changed).encode())
    amazon.away = True
    with pytest.raises(Unavailable):
        await Ses(SnsMessages([TOPIC], amazon.fetch)).read({}, sns("Notification", "{}"))


@pytest.mark.parametrize(
    ("topic", "host"),
    [
        ("arn:aws-cn:sns:cn-north-1:123456789012:t", "sns.cn-north-1.amazonaws.com.cn"),
        ("arn:aws-us-gov:sns:us-gov-west-1:123456789012:t.fifo", "sns.us-gov-west-1.amazonaws.com"),
    ],
)
async def test_what_signs_for_a_topic_is_in_its_region(topic: str, host: str) -> None:
    amazon = Amazon()
    source = Ses(SnsMessages([topic], amazon.fetch))
    assert await source.read({}, sns("Notification", "hello", TopicArn=topic, SigningCertURL=f"https://{host}/x.pem")) == []
    env = Env({"CLARION_SES_TOPICS": f"{topic},{TOPIC}"})
    assert (FactSettings.from_env(env).ses_topics, env.problems) == ((topic, TOPIC), [])


@pytest.mark.parametrize("topic", ["arn:aws:sns:s3:123456789012:t", "arn:aws:sqs:us-west-2:123456789012:t", "arn:aws", "clarion"])
def test_a_topic_is_an_arn_of_sns(topic: str) -> None:
    env = Env({"CLARION_SES_TOPICS": topic})
    FactSettings.from_env(env)
    assert [problem.partition(":")[0] for problem in env.problems] == ["CLARION_SES_TOPICS"]


# ---- the door


class Unrecorded:
    """A store that takes nothing, since user_svc or the database refuses this gateway."""

    def __init__(self, error: ServiceError) -> None:
        self.error = error

    async def fresh(self, reports: Sequence[Report]) -> list[Fresh]:
        raise self.error

    async def record(self, reports: Sequence[Report]) -> int:
        raise self.error

    async def suppress(
        self, project: str, user_id: str, address: str, evidence: str, *, reason: str = "", only_their_own: bool = False
    ) -> None:
        raise self.error


@pytest.mark.parametrize("error", [PermissionDenied("not you"), Unauthenticated("who?"), NotFound("gone"), Internal("a defect")])
async def test_what_keeps_events_from_being_recorded_is_never_the_providers_fault(error: ServiceError) -> None:
    """A provider drops what is answered with 4xx, and is to hear nothing of what is wrong inside."""
    refused: list[ServiceError] = []

    def render(error: ServiceError) -> Rendered:
        refused.append(error)
        return Rendered(503, [], b"")

    headers, body = grid_request([grid_event("bounce")])
    door = ProviderEvents(render, {"sendgrid": SendGrid(GRID_PUBLIC)}, Facts(Unrecorded(error), Unrecorded(error)))
    scope = {
        "method": "POST", "path": "/provider-events/sendgrid", "headers": [(key.encode(), text.encode()) for key, text in headers.items()],
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        """The answer is the renderer's."""

    await door(scope, receive, send)
    [said] = refused
    assert (type(said), said.reason) == (Unavailable, "UNAVAILABLE")
    assert error.message not in said.message


# ---- Mailgun

GUN_KEY = "webhook-signing-key-of-the-test"


def gun_request(event: Any, *, age_s: int = 0) -> bytes:
    stamp, token = str(int(time.time()) - age_s), "a8ce0edb2dd8301dee6c2405235584e45aa91d1e9f979f3de0"
    signature = hmac.new(GUN_KEY.encode(), f"{stamp}{token}".encode(), hashlib.sha256).hexdigest()
    return json.dumps({"signature": {"timestamp": stamp, "token": token, "signature": signature}, "event-data": event}).encode()


def gun_event(kind: str, **more: Any) -> dict[str, Any]:
    event = {
        "id": "G9Bn5sl1TC6nu79C8C0bwg", "timestamp": 1521233195.375624, "log-level": "error", "event": kind, "severity": "permanent",
        "reason": "bounce", "recipient": "alice@example.com", "user-variables": {"clarion_notification_id": ID},
        "delivery-status": {"attempt-no": 1, "code": 550, "message": "5.1.1 The email account alice@example.com does not exist"},
    }  # fmt: skip
    return event | more


@pytest.mark.parametrize(
    ("event", "fact"),
    [
        (gun_event("failed"), Fact.HARD_BOUNCED), (gun_event("failed", reason="old"), Fact.SOFT_BOUNCED),
        (gun_event("failed", severity="temporary"), None), (gun_event("delivered"), Fact.DELIVERED),
        (gun_event("complained"), Fact.COMPLAINED), (gun_event("opened"), Fact.OPENED), (gun_event("clicked"), None),
        (gun_event("failed", **{"user-variables": {}}), None), ("odd", None), (None, None),
    ],
)  # fmt: skip
async def test_what_mailgun_posts(event: Any, fact: Fact | None) -> None:
    reports = await Mailgun(GUN_KEY).read({}, gun_request(event))
    assert [one.fact for one in reports] == ([] if fact is None else [fact])
    if fact is Fact.HARD_BOUNCED:
        assert (reports[0].address, reports[0].detail) == ("alice@example.com", "5.1.1 The email account (address) does not exist")


async def test_mailgun_requests_that_are_not_its_own_or_old_are_refused() -> None:
    with pytest.raises(BadSignature, match="CLARION_MAILGUN_KEY"):
        await Mailgun("another-key-altogether").read({}, gun_request(gun_event("failed")))
    with pytest.raises(BadSignature, match="12 hours"):
        await Mailgun(GUN_KEY).read({}, gun_request(gun_event("failed"), age_s=50_000))
    for body in (b"{}", b"[]", b'{"signature": {"timestamp": 1}}'):
        with pytest.raises(BadSignature):
            await Mailgun(GUN_KEY).read({}, body)
    with pytest.raises(InvalidArgument, match="JSON"):
        await Mailgun(GUN_KEY).read({}, b"{")
