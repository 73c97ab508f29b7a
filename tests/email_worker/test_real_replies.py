"""What large providers and common servers answer, word for word as they publish it or as their users quote it, through a real dialogue."""

from collections.abc import AsyncIterator

import pytest

from delivery.errors import DeliveryError, Fault
from delivery.models import ProviderUnavailable, SenderRefused
from devstack.smtp import SmtpServer, open_smtp_server, replies
from devstack.smtp_session import Stage
from email_worker.errors import MailboxBusy, MailboxGone, SmtpOutcomeUnknown, SmtpRefused, SmtpRejected, SmtpSenderRefused, SmtpUnavailable
from email_worker.message import Composer
from email_worker.models import Mail
from email_worker.provider import SmtpProvider
from email_worker.settings import SmtpSettings

RCPT, DOT = Stage.RCPT, Stage.DATA
RECIPIENT, MESSAGE, SENDER, PROVIDER = Fault.RECIPIENT, Fault.MESSAGE, Fault.SENDER, Fault.PROVIDER
MAIL = Mail("n.0", "ada@example.org", "Ada", "Hello", "Hello!", "")

REPLIES: list[tuple[Stage, str, Fault, type[DeliveryError]]] = [
    # Gmail
    (
        RCPT,
        "550-5.1.1 The email account that you tried to reach does not exist.\r\n550 5.1.1  NoSuchUser",
        RECIPIENT,
        MailboxGone,
    ),
    (RCPT, "452-4.2.2 The recipient's inbox is out of storage space.\r\n452 4.2.2  OverQuotaTemp", RECIPIENT, MailboxBusy),
    (RCPT, "550 5.2.1 The email account that you tried to reach is disabled.", RECIPIENT, SmtpRejected),
    (RCPT, "450 4.2.1 The user you are trying to contact is receiving mail at a rate that", RECIPIENT, MailboxBusy),
    (DOT, "550-5.7.26 This mail has been blocked because the sender is unauthenticated.\r\n550 5.7.26 gsmtp", SENDER, SmtpSenderRefused),
    (DOT, "421 4.7.28 Our system has detected an unusual rate of unsolicited mail.", PROVIDER, SmtpUnavailable),
    (DOT, "550 5.7.1 Our system has detected that this message is likely unsolicited mail.", MESSAGE, SmtpRejected),
    (DOT, "552 5.7.0 This message was blocked because its content presents a potential security issue.", MESSAGE, SmtpRejected),
    (DOT, "552 5.2.3 Your message exceeded Google's message size limits.", MESSAGE, SmtpRejected),
    (DOT, "550 5.4.5 Daily SMTP relay sending limit exceeded.", SENDER, SmtpSenderRefused),
    (RCPT, "550 5.4.5 Daily user sending limit exceeded.", SENDER, SmtpSenderRefused),
    (RCPT, "550 5.7.1 The IP you're using to send mail is not authorized to send email directly", SENDER, SmtpSenderRefused),
    # Outlook.com and Exchange Online
    (RCPT, "550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. (S3150)", SENDER, SmtpSenderRefused),
    (RCPT, "550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302).", RECIPIENT, SmtpRejected),
    (RCPT, "550 5.4.1 Recipient address rejected: Access denied. AS(201806281)", RECIPIENT, SmtpRejected),
    (RCPT, "451 4.7.500 Server busy. Please try again later from [192.0.2.1]. (S77719)", RECIPIENT, SmtpRefused),
    (RCPT, "550 5.7.708 Service unavailable. Access denied, traffic not accepted from this IP.", SENDER, SmtpSenderRefused),
    (
        DOT,
        "554 5.2.252 SendAsDenied; a@example.com not allowed to send as b@example.com; STOREDRV.Submission",
        SENDER,
        SmtpSenderRefused,
    ),
    (DOT, "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed to process message", SENDER, SmtpSenderRefused),
    (DOT, "550 5.1.8 Access denied, bad outbound sender AS(42003)", SENDER, SmtpSenderRefused),
    (DOT, "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded", PROVIDER, SmtpUnavailable),
    # Yahoo
    (DOT, "554 delivery error: dd This user doesn't have a yahoo.com account (ada@example.org) [0]", MESSAGE, SmtpRejected),
    (DOT, "554 delivery error: dd This account has been disabled or discontinued [#101].", MESSAGE, SmtpRejected),
    (DOT, "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to user complaints", PROVIDER, SmtpUnavailable),
    (DOT, "554 5.7.9 Message not accepted for policy reasons.", SENDER, SmtpSenderRefused),
    # Amazon SES
    (DOT, "554 Message rejected: Email address is not verified.", SENDER, SmtpSenderRefused),
    (DOT, "554 Access denied: User `x' is not authorized to perform `ses:SendRawEmail' on resource `y'", SENDER, SmtpSenderRefused),
    (DOT, "554 Message rejected: Sending suspended for this account.", SENDER, SmtpSenderRefused),
    (DOT, "454 Throttling failure: Maximum sending rate exceeded.", MESSAGE, SmtpRefused),
    (DOT, "454 Throttling failure: Daily message quota exceeded.", SENDER, SmtpSenderRefused),
    # Postfix, Exim, qmail, Proofpoint, Mimecast
    (RCPT, "550 5.1.1 <ada@example.org>: Recipient address rejected: User unknown in local recipient table", RECIPIENT, MailboxGone),
    (RCPT, "454 4.7.1 <ada@example.org>: Relay access denied", SENDER, SmtpSenderRefused),
    (RCPT, "450 4.7.1 <ada@example.org>: Recipient address rejected: Greylisted, see http://x", RECIPIENT, SmtpRefused),
    (RCPT, "504 5.5.2 <localhost>: Helo command rejected: need fully-qualified hostname", SENDER, SmtpSenderRefused),
    (RCPT, "550-Verification failed for <no-reply@example.com>\r\n550 Sender verify failed", SENDER, SmtpSenderRefused),
    (RCPT, "550 Unrouteable address", RECIPIENT, SmtpRejected),
    (RCPT, "550 sorry, no mailbox here by that name (#5.1.1)", RECIPIENT, MailboxGone),
    (RCPT, "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)", SENDER, SmtpSenderRefused),
    (RCPT, "550 5.7.1 Email from 192.0.2.1 is currently blocked by Proofpoint Dynamic Reputation.", SENDER, SmtpSenderRefused),
    (RCPT, "550 Local CT IP Reputation - (reject)", SENDER, SmtpSenderRefused),
    (RCPT, "451 Internal resource temporarily unavailable - https://community.mimecast.com", RECIPIENT, SmtpRefused),
    # what no server should send
    (RCPT, "550", RECIPIENT, SmtpRejected),
    (RCPT, "550 " + "x" * 900, RECIPIENT, SmtpRejected),
    (RCPT, "199 ?", PROVIDER, SmtpUnavailable),
    (RCPT, "600 ?", PROVIDER, SmtpUnavailable),
    (RCPT, "221 2.0.0 Bye", PROVIDER, SmtpUnavailable),
    (DOT, "221 2.0.0 Bye", PROVIDER, SmtpOutcomeUnknown),
    (DOT, "354 go on", PROVIDER, SmtpOutcomeUnknown),
]


@pytest.fixture
async def server() -> AsyncIterator[SmtpServer]:
    async with open_smtp_server() as running:
        yield running


@pytest.mark.parametrize(("stage", "reply", "fault", "kind"), REPLIES)
async def test_a_reply_blames_who_is_at_fault(
    server: SmtpServer, stage: Stage, reply: str, fault: Fault, kind: type[DeliveryError]
) -> None:
    server.script(MAIL.address, replies(reply, stage))
    provider = SmtpProvider(SmtpSettings(host="127.0.0.1", port=server.port, tls="none"), sender="no-reply@example.com")
    mail = Composer("no-reply@example.com").compose(MAIL)
    try:
        with pytest.raises(DeliveryError) as refused:
            await provider.send(mail)
        assert (type(refused.value), refused.value.fault) == (kind, fault)
        assert refused.value.uses_attempt is not isinstance(refused.value, SenderRefused)
        assert len(refused.value.detail) <= 200
        if not isinstance(refused.value, ProviderUnavailable):
            assert server.connections == 1  # the connection is kept for the next mail
        await provider.send(mail)
    finally:
        await provider.close()
    assert server.received == 1
