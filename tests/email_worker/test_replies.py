"""The table of SMTP replies: who is at fault and what happens to the mail, for every step, with replies as real servers give them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.errors import Fault
from delivery.models import OutcomeUnknown, ProviderUnavailable, SenderRefused
from email_worker.errors import MailboxGone, SmtpRefused, SmtpRejected
from email_worker.replies import ALL, RULES, Reply, Step, Treatment, refusal, rule_of

RECIPIENT, MESSAGE, SENDER, PROVIDER = Fault.RECIPIENT, Fault.MESSAGE, Fault.SENDER, Fault.PROVIDER
DEAD, SUPPRESS, RETRY, FAIL_OVER, WAIT = (
    Treatment.DEAD_LETTER, Treatment.SUPPRESS, Treatment.RETRY, Treatment.FAIL_OVER, Treatment.WAIT,
)  # fmt: skip


@pytest.mark.parametrize(
    ("step", "said", "fault", "treatment"),
    [
        # before any mail
        (Step.GREETING, "554 5.7.1 Service unavailable; client host blocked using zen.spamhaus.org", SENDER, WAIT),
        (Step.GREETING, "554 No SMTP service here", SENDER, WAIT),
        (Step.GREETING, "521 5.3.2 This host does not accept mail", PROVIDER, WAIT),
        (Step.GREETING, "450 4.3.2 Too busy", PROVIDER, FAIL_OVER),
        (Step.GREETING, "421 4.7.0 Too many connections", PROVIDER, FAIL_OVER),
        (Step.EHLO, "504 5.5.2 Helo command rejected: need a fully-qualified hostname", SENDER, WAIT),
        (Step.STARTTLS, "454 4.7.0 TLS not available due to local problem", PROVIDER, FAIL_OVER),
        (Step.AUTH, "535 5.7.8 Authentication credentials invalid", SENDER, WAIT),
        (Step.AUTH, "535 Incorrect authentication data", SENDER, WAIT),
        (Step.AUTH, "534 5.7.9 Application-specific password required", SENDER, WAIT),
        (Step.AUTH, "525 5.7.13 Account disabled", SENDER, WAIT),
        (Step.AUTH, "432 4.7.12 A password transition is needed", SENDER, WAIT),
        (Step.AUTH, "454 4.7.0 Temporary authentication failure", PROVIDER, FAIL_OVER),
        # the sender
        (Step.MAIL, "530 5.7.0 Authentication required", SENDER, WAIT),
        (Step.MAIL, "550 5.7.1 Sender address rejected: not owned by user", SENDER, WAIT),
        (Step.MAIL, "553 5.1.8 Domain of sender address does not exist", SENDER, WAIT),
        (Step.MAIL, "550 5.4.5 Daily sending quota exceeded", SENDER, WAIT),
        (Step.MAIL, "552 5.2.2 Account over quota", SENDER, WAIT),
        (Step.MAIL, "501 5.1.7 Bad sender address syntax", SENDER, WAIT),
        (Step.MAIL, "451 4.3.0 Try later", PROVIDER, FAIL_OVER),
        (Step.RCPT, "530 5.7.0 Must issue a STARTTLS command first", SENDER, WAIT),
        (Step.RCPT, "554 5.7.1 <ada@example.org>: Relay access denied", SENDER, WAIT),
        (Step.RCPT, "550 relay not permitted", SENDER, WAIT),
        (Step.RCPT, "550 5.7.1 Unable to relay", SENDER, WAIT),
        (Step.RCPT, "550 5.7.64 TenantAttribution; Relay Access Denied", SENDER, WAIT),
        (Step.RCPT, "550 5.7.606 Access denied, banned sending IP", SENDER, WAIT),
        (Step.RCPT, "550 5.7.25 Reverse DNS validation failed", SENDER, WAIT),
        (Step.RCPT, "553 5.7.1 <no-reply@example.com>: Sender address rejected: not logged in", SENDER, WAIT),
        (Step.DOT, "550 5.7.26 This message does not pass authentication checks (SPF and DKIM)", SENDER, WAIT),
        (Step.DOT, "554 Message rejected: Email address is not verified", SENDER, WAIT),
        # the person
        (Step.RCPT, "550 5.1.1 No such user", RECIPIENT, SUPPRESS),
        (Step.RCPT, "550 #5.1.1 No such user", RECIPIENT, SUPPRESS),
        (Step.RCPT, "551 5.1.6 Mailbox has moved", RECIPIENT, SUPPRESS),
        (Step.RCPT, "450 5.1.1 The enhanced code decides", RECIPIENT, SUPPRESS),
        (Step.DOT, "550 5.1.1 No such user after all", RECIPIENT, SUPPRESS),
        (Step.RCPT, "550 User unknown", RECIPIENT, DEAD),
        (Step.RCPT, "550 5.1.10 Recipient has a null MX", RECIPIENT, DEAD),
        (Step.RCPT, "552 5.2.2 Mailbox full", RECIPIENT, DEAD),
        (Step.RCPT, "550 5.2.1 Mailbox disabled", RECIPIENT, DEAD),
        (Step.RCPT, "550 5.4.1 Recipient address rejected: Access denied", RECIPIENT, DEAD),
        (Step.RCPT, "550 5.7.1 This group takes no mail from outside", RECIPIENT, DEAD),
        (Step.RCPT, "550 5.7.133 Sender not in the group's list", RECIPIENT, DEAD),
        (Step.RCPT, "556 Domain does not accept mail", RECIPIENT, DEAD),
        (Step.RCPT, "451 4.7.1 Greylisted, come back later", RECIPIENT, RETRY),
        (Step.RCPT, "450 4.2.2 Mailbox full", RECIPIENT, Treatment.RETRY_MAILBOX),
        (Step.RCPT, "550 4.2.1 The enhanced code decides", RECIPIENT, Treatment.RETRY_MAILBOX),
        # the text
        (Step.DOT, "552 5.3.4 Message too big", MESSAGE, DEAD),
        (Step.DOT, "550 5.7.1 Our system has detected spam", MESSAGE, DEAD),
        (Step.DOT, "554 5.6.0 Bad MIME", MESSAGE, DEAD),
        (Step.DOT, "554 Transaction failed", MESSAGE, DEAD),
        (Step.DOT, "451 4.7.1 Try again", MESSAGE, RETRY),
        # the server
        (Step.RCPT, "452 4.3.1 Insufficient system storage", PROVIDER, FAIL_OVER),
        (Step.RCPT, "421 4.3.2 Shutting down", PROVIDER, FAIL_OVER),
        (Step.RCPT, "503 5.5.1 Bad sequence of commands", PROVIDER, FAIL_OVER),
        (Step.DATA, "554 5.5.1 No valid recipients", PROVIDER, FAIL_OVER),
        (Step.DOT, "554 5.3.0 Local trouble", PROVIDER, FAIL_OVER),
        (Step.RCPT, "354 Go ahead", PROVIDER, FAIL_OVER),
        (Step.MAIL, "999 ?", PROVIDER, FAIL_OVER),
        (Step.DOT, "354 Go ahead", PROVIDER, Treatment.UNKNOWN),
    ],
)  # fmt: skip
def test_who_is_at_fault(step: Step, said: str, fault: Fault, treatment: Treatment) -> None:
    rule = rule_of(Reply(int(said[:3]), said[4:]), step)
    assert (rule.fault, rule.treatment) == (fault, treatment)


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [(550, "5.1.1.7 is not your address", "5"), (550, "10.5.1.1 is blocked", "5"), (450, "2.1.5 ok?", "4"), (250, "5.1.1 taken", "2")],
)
def test_what_only_looks_like_an_enhanced_code_decides_nothing(code: int, text: str, kind: str) -> None:
    reply = Reply(code, text)
    assert (reply.kind, reply.subject) == (kind, "" if kind != "2" else "1.1")


@given(st.integers(-99, 999), st.text(max_size=60), st.sampled_from(sorted(Step)))
def test_there_is_an_answer_to_every_reply(code: int, text: str, step: Step) -> None:
    reply = Reply(code, text)
    if reply.accepted:
        return
    error = refusal(reply, step, "ada@example.org")
    error.reason.encode()
    error.detail.encode()
    kinds = {
        Treatment.DEAD_LETTER: SmtpRejected, Treatment.SUPPRESS: MailboxGone, Treatment.RETRY: SmtpRefused,
        Treatment.FAIL_OVER: ProviderUnavailable, Treatment.WAIT: SenderRefused, Treatment.UNKNOWN: OutcomeUnknown,
    }  # fmt: skip
    assert isinstance(error, kinds[rule_of(reply, step).treatment])


def test_no_refusal_of_the_sender_ends_in_a_dead_letter() -> None:
    """Nor does anything that was said before the server had seen a recipient."""
    for rule in RULES:
        final = rule.treatment in {Treatment.DEAD_LETTER, Treatment.SUPPRESS, Treatment.RETRY, Treatment.RETRY_MAILBOX}
        assert not (final and rule.fault in {Fault.SENDER, Fault.PROVIDER}), rule
        assert not (final and set(rule.steps) & (ALL - {Step.RCPT, Step.DATA, Step.DOT})), rule
        assert (rule.treatment is Treatment.WAIT) >= (rule.fault is Fault.SENDER), rule
