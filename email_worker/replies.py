"""What each reply of an SMTP server means: whose fault it is and what happens to the mail. The table is data; docs/providers.md shows it.

Sources: RFC 5321 section 4.2 (codes by command), RFC 3463 and the IANA registry of enhanced status codes, RFC 4954 (AUTH), RFC 7504 (521
and 556), and for X.7.5xx to X.7.7xx the lists that Microsoft publishes for Exchange Online. The enhanced code decides before the basic one;
words decide only where servers use one code for two things (X.7.1 is "relay denied" and "this mailbox takes no mail from you").
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from delivery.errors import DeliveryError, Fault
from email_worker.errors import MailboxBusy, MailboxGone, SmtpOutcomeUnknown, SmtpRefused, SmtpRejected, SmtpSenderRefused, SmtpUnavailable


class Step(StrEnum):
    """Where in the dialogue the server said it. RSET and QUIT are not here: no mail depends on their answers."""

    GREETING = "greeting"
    EHLO = "ehlo"
    STARTTLS = "starttls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    DOT = "dot"


class Treatment(StrEnum):
    """What happens to the mail, and to the server's breaker."""

    DEAD_LETTER = "dead letter"  # at once; the breaker sees a server that works
    SUPPRESS = "dead letter, and the address is suppressed"
    # along the ladder; the breaker sees a server that works. Said to nearly everyone, it is the server's state (`delivery/pushback.py`)
    RETRY = "retry"
    RETRY_MAILBOX = "retry; says nothing of the server"  # the same, however many mailboxes are full
    FAIL_OVER = "another server, else retry"  # a failure for the breaker
    WAIT = "another server, else wait"  # a failure for the breaker; uses up no step of the ladder, and an operator is alarmed
    UNKNOWN = "outcome unknown"  # the template's on_unknown decides; a failure for the breaker


SESSION = frozenset({Step.GREETING, Step.EHLO, Step.STARTTLS, Step.AUTH})
ENVELOPE = frozenset({Step.RCPT, Step.DATA, Step.DOT})
ALL = frozenset(Step)


@dataclass(frozen=True, slots=True)
class Rule:
    """Matches a reply by step, kind (4 not now, 5 never), and patterns of enhanced code without class, basic code and words."""

    steps: Collection[Step]
    kind: str
    fault: Fault
    treatment: Treatment
    enhanced: str = ".*"
    code: str = ".*"
    words: str = ""
    meaning: str = ""

    def matches(self, reply: "Reply", step: Step) -> bool:
        """Whether the rule is about this reply at this step."""
        return (
            step in self.steps
            and reply.kind in self.kind
            and re.fullmatch(self.enhanced, reply.subject) is not None
            and re.fullmatch(self.code, str(reply.code)) is not None
            and (not self.words or re.search(self.words, reply.text, re.IGNORECASE) is not None)
        )


# What servers say of us and not of the person or the text, where their code leaves it open.
_ABOUT_US = (
    r"relay|rcpthosts|authenticat|\bauth\b|sender (address )?(rejected|denied|verify|not allowed|unknown)|client host|"
    r"not authorized to (send|perform)|\bip\b.{0,60}(not authorized|block|listed|reputation)|dynamic reputation|ipcheck|"
    r"messages from .{0,60}(weren't|were not|not) (sent|accepted)|"
    r"\bhelo\b|reverse (dns|hostname)|\bptr\b|"
    r"\b(spf|dkim|dmarc)\b|block ?list|black ?list|\b[dr]ns?bl\b|spamhaus|barracuda|blocked using|not verified|sandbox|"
    # a bare "this account is disabled" is the person's: Yahoo says so after the dot
    r"\b(your|sending|sender'?s?|smtp) (\w+ )?account.{0,40}(suspend|disabl|expir|block)|"
    r"(suspend|paus|disabl|expir|block)\w* (for|on) (this|your) account|(sending|daily|hourly|monthly|message) (message )?(limit|quota)"
)
# Where a temporary code stands for what only an operator can change: relaying, authentication, a day's quota (Amazon SES, soft rejects).
_ABOUT_US_FOR_LONG = (
    r"relay(ing)?( access)? (denied|not (permitted|allowed))|unable to relay|authentication (is )?required|"
    r"(daily|monthly) .{0,20}(quota|limit).{0,20}exceed|(suspend|paus)\w* (for|on) (this|your) account"
)
# Exchange Online answers the submission of a mail with codes of the mailbox (5.2.0, 5.2.252) where the account may not send it.
_SUBMISSION = r"STOREDRV\.Submission|SendAsDenied|SubmissionQuotaExceeded|OutboundSpam"
# Authentication, encryption, DKIM, SPF, DMARC, reverse DNS and reputation of the client: RFC 4954, 7372, 7489, 8460 and Exchange Online.
_SENDER = r"7\.([389]|1[0-4]|19|2\d|3\d|57|60|64|[567]\d\d)"
_OPEN = r"|[07]\.0|7\.1|5\.\d+"

RULES: tuple[Rule, ...] = (
    Rule(ALL, "45", Fault.PROVIDER, Treatment.FAIL_OVER, code="421", meaning="the server closes the connection"),
    # the session: nothing is known of any mail yet
    Rule(SESSION, "4", Fault.SENDER, Treatment.WAIT, code="432", meaning="the account needs a new password"),
    Rule(SESSION, "4", Fault.PROVIDER, Treatment.FAIL_OVER, meaning="the server is not ready"),
    Rule(SESSION, "5", Fault.PROVIDER, Treatment.WAIT, enhanced=r"[34]\..+", meaning="the server takes no mail at all"),
    Rule(SESSION, "5", Fault.SENDER, Treatment.WAIT, meaning="the server refuses our host, our TLS or our account"),
    Rule({Step.MAIL}, "4", Fault.PROVIDER, Treatment.FAIL_OVER, meaning="the server takes no mail from us now"),
    Rule({Step.MAIL}, "5", Fault.SENDER, Treatment.WAIT, meaning="the server refuses our sender address or account"),
    Rule(ENVELOPE, "5", Fault.SENDER, Treatment.WAIT, words=_SUBMISSION, meaning="our account may not send this (Exchange Online)"),
    Rule(ENVELOPE, "45", Fault.SENDER, Treatment.WAIT, words=_ABOUT_US_FOR_LONG, meaning="relaying, authentication or a day's quota"),
    # the person
    Rule(ENVELOPE, "5", Fault.RECIPIENT, Treatment.SUPPRESS, enhanced=r"1\.[16]", meaning="there is no such mailbox"),
    Rule(ENVELOPE, "45", Fault.SENDER, Treatment.WAIT, enhanced=r"1\.[78]", meaning="our sender address is refused"),
    Rule(ENVELOPE, "5", Fault.MESSAGE, Treatment.DEAD_LETTER, enhanced=r"2\.3|3\.4", meaning="the mail is too large"),
    Rule(ENVELOPE, "5", Fault.RECIPIENT, Treatment.DEAD_LETTER, enhanced=r"[12]\..+|6\.7", meaning="the address or mailbox takes no mail"),
    # us
    Rule(ENVELOPE, "5", Fault.SENDER, Treatment.WAIT, enhanced=_SENDER, meaning="our authentication, encryption or reputation"),
    Rule(ENVELOPE, "5", Fault.SENDER, Treatment.WAIT, code="530|53[458]", meaning="authentication or encryption required"),
    Rule(ENVELOPE, "5", Fault.SENDER, Treatment.WAIT, enhanced=_OPEN, words=_ABOUT_US, meaning="relaying, authentication or a block list"),
    Rule(ENVELOPE, "5", Fault.SENDER, Treatment.WAIT, enhanced=r"4\.5", meaning="our sending quota (Gmail)"),
    # the server
    Rule(ENVELOPE, "45", Fault.PROVIDER, Treatment.FAIL_OVER, enhanced=r"3\..+", meaning="the server's own trouble"),
    Rule(
        {Step.RCPT, Step.DATA}, "5", Fault.PROVIDER, Treatment.FAIL_OVER, code="50[0234]", meaning="the server does not follow the dialogue"
    ),
    Rule({Step.DATA}, "5", Fault.PROVIDER, Treatment.FAIL_OVER, meaning="refused before the text was seen"),
    # what is left
    Rule(ENVELOPE, "4", Fault.RECIPIENT, Treatment.RETRY_MAILBOX, enhanced=r"[12]\..+", meaning="the mailbox takes no mail now"),
    Rule({Step.RCPT}, "4", Fault.RECIPIENT, Treatment.RETRY, meaning="greylisted or deferred"),
    Rule({Step.DATA, Step.DOT}, "4", Fault.MESSAGE, Treatment.RETRY, meaning="not taken now"),
    Rule({Step.RCPT}, "5", Fault.RECIPIENT, Treatment.DEAD_LETTER, meaning="the recipient is refused"),
    Rule({Step.DOT}, "5", Fault.MESSAGE, Treatment.DEAD_LETTER, meaning="the text is refused"),
    Rule({Step.DOT}, "123?", Fault.PROVIDER, Treatment.UNKNOWN, meaning="not a reply that can follow"),
    Rule(ALL, "123?", Fault.PROVIDER, Treatment.FAIL_OVER, meaning="not a reply that can follow"),
)

_ENHANCED = re.compile(r"\W{0,2}([245])\.(\d{1,3})\.(\d{1,3})(?![.\d])")
# qmail and its kin put the code at the end: "sorry, no mailbox here by that name (#5.1.1)"
_AT_THE_END = re.compile(r"\(#([245])\.(\d{1,3})\.(\d{1,3})\)")
_CLOSING = 221
_ANY_ADDRESS = re.compile(r"[^\s<>()\[\]:;,\"']+@[^\s<>()\[\]:;,\"']+")
_ERRORS: dict[Treatment, type[DeliveryError]] = {
    Treatment.DEAD_LETTER: SmtpRejected,
    Treatment.SUPPRESS: MailboxGone,
    Treatment.RETRY: SmtpRefused,
    Treatment.RETRY_MAILBOX: MailboxBusy,
    Treatment.FAIL_OVER: SmtpUnavailable,
    Treatment.WAIT: SmtpSenderRefused,
    Treatment.UNKNOWN: SmtpOutcomeUnknown,
}


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply as the server gave it. A basic code of success stays one, whatever enhanced code stands beside it."""

    code: int
    text: str

    @property
    def accepted(self) -> bool:
        """2yz, unless it says goodbye before it was asked to."""
        return 200 <= self.code < 300 and self.code != _CLOSING

    @property
    def kind(self) -> str:
        """The first digit of the enhanced code where it has a sensible one, else of the basic code; "?" for a code that is none."""
        basic = str(self.code)[:1] if 100 <= self.code < 600 else "?"
        found = self._enhanced
        return found[1] if found is not None and basic in "45" and found[1] in "45" else basic

    @property
    def subject(self) -> str:
        """Subject and detail of the enhanced code, such as "1.1"; empty without one."""
        found = self._enhanced
        return f"{int(found[2])}.{int(found[3])}" if found is not None and found[1] in "45" else ""

    @property
    def _enhanced(self) -> re.Match[str] | None:
        return _ENHANCED.match(self.text) or _AT_THE_END.search(self.text)


def rule_of(reply: Reply, step: Step) -> Rule:
    """The first rule that matches; there is one for every reply that is no success."""
    return next(rule for rule in RULES if rule.matches(reply, step))


def refusal(reply: Reply, step: Step, recipient: str = "") -> DeliveryError:
    """The error that stands for a reply."""
    rule = rule_of(reply, step)
    if reply.code <= 0:
        return _ERRORS[rule.treatment]("SMTP_PROTOCOL", "the server does not speak SMTP", fault=rule.fault)
    return _ERRORS[rule.treatment](f"SMTP_{reply.code}", scrub(reply.text, recipient), fault=rule.fault)


def scrub(reply: str, recipient: str = "") -> str:
    """A server's reply without the address that it may repeat, on one line, at most 200 characters."""
    line = " ".join(reply.split())
    if recipient:
        line = re.sub(re.escape(recipient), "(address)", line, flags=re.IGNORECASE)
    line = _ANY_ADDRESS.sub("(address)", line)
    local = recipient.rpartition("@")[0]
    if len(local) > 2:
        line = re.sub(rf"(?<!\w){re.escape(local)}(?!\w)", "(address)", line, flags=re.IGNORECASE)
    return line[:200]
