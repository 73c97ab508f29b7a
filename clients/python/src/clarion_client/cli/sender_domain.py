"""What `clarion doctor --domain` looks up: SPF (RFC 7208), DKIM (RFC 6376) and DMARC (RFC 7489) of the domain that mails come from."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable, Sequence
from email.utils import parseaddr

import dns.exception
import dns.resolver

from clarion_client.cli.providers import Check

Texts = Callable[[str], Sequence[str]]

_TIMEOUT_S = 5.0
_PORT = 53
# RFC 7208, 4.6.4: a receiver gives up beyond these.
_MOST_LOOKUPS = 10
# A public key of RSA with 1024 bits has 162 bytes as it stands in DNS; receivers take no shorter ones.
_LEAST_RSA_BYTES = 160
_POLICIES = ("none", "quarantine", "reject")
# End of the server's name: what SPF has to include, empty where the provider's own domain is the return path; DKIM's selectors; the guide.
_PROVIDERS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "gmail.com": ("_spf.google.com", ("google",), "gmail.md"),
    "google.com": ("_spf.google.com", ("google",), "gmail.md"),
    "sendgrid.net": ("", ("s1", "s2"), "sendgrid.md"),
    "amazonaws.com": ("", (), "ses.md"),
    "mailgun.org": ("mailgun.org", ("smtp", "mx", "k1", "pic", "email", "mailo"), "mailgun.md"),
}
_OWN = ("", (), "postfix.md")


class _NoAnswerError(Exception):
    """DNS can't say whether there is such a record."""


def check_domain(check: Check, selectors: Sequence[str] = (), server: str = "") -> None:
    """Looks at the domain of CLARION_SMTP_FROM, and of CLARION_BOUNCE_DOMAIN for SPF. `server` is `address` or `address:port`."""
    sender = parseaddr(os.environ.get("CLARION_SMTP_FROM", ""))[1]
    domain = sender.rpartition("@")[2].lower().rstrip(".")
    if not domain:
        check("settings", False, "no sender", "set CLARION_SMTP_FROM as the worker has it")
        return
    host = os.environ.get("CLARION_SMTP_HOST", "").lower()
    included, known, page = next((found for end, found in _PROVIDERS.items() if host == end or host.endswith(f".{end}")), _OWN)
    guide = f"docs/providers/{page}"
    try:
        texts = _resolver(server)
        return_path = os.environ.get("CLARION_BOUNCE_DOMAIN", "").lower() or domain
        if return_path == domain and page in {"sendgrid.md", "ses.md"}:
            check("spf", True, f"the provider's return path has its own ({guide})", "")
        else:
            _check_spf(check, texts, return_path, included, guide)
        _check_dkim(check, texts, domain, selectors or known, guide)
        _check_dmarc(check, texts, domain)
    except _NoAnswerError as error:
        check("dns", False, str(error), "try again, or ask another server: --dns 9.9.9.9")


def _resolver(server: str) -> Texts:
    try:
        resolver = dns.resolver.Resolver(configure=not server)
        if server:
            address, _, port = server.partition(":") if server.count(":") == 1 else (server, "", "")
            resolver.nameservers, resolver.port = [address], int(port or _PORT)
    except (dns.exception.DNSException, ValueError) as error:
        raise _NoAnswerError(f"no DNS server to ask: {error}") from error

    def texts(name: str) -> Sequence[str]:
        try:
            answer = resolver.resolve(name, "TXT", lifetime=_TIMEOUT_S, search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except (dns.exception.DNSException, OSError) as error:
            raise _NoAnswerError(f"no answer about {name}: {type(error).__name__}") from error
        return [b"".join(record.strings).decode(errors="replace") for record in answer]

    return texts


def _check_spf(check: Check, texts: Texts, domain: str, included: str, guide: str) -> None:
    mechanism = f"include:{included}" if included else "ip4:ADDRESS"
    wanted = f'"v=spf1 {mechanism} ~all"'
    records = _spf_of(texts, domain)
    if not records:
        check("spf", False, f"no record at {domain}", f"add TXT at {domain}: {wanted} ({guide})")
    elif len(records) > 1:
        check(
            "spf",
            False,
            f"{len(records)} records at {domain}: receivers then heed none",
            f"make one TXT of them that begins with v=spf1 ({guide})",
        )
    else:
        words = records[0].lower().split()[1:]
        ends = words[-1] if words else ""
        if "all" in words or "+all" in words:
            check("spf", False, f"{records[0]}: everyone may send for {domain}", "end it with ~all or -all")
        elif included and f"include:{included}" not in [word.lstrip("+") for word in words]:
            check("spf", False, f"{records[0]}: your provider is not in it", f"put include:{included} before the last word ({guide})")
        elif ends not in {"-all", "~all"} and not any(word.startswith("redirect=") for word in words):
            check("spf", False, f"{records[0]}: says nothing about other senders", "end it with ~all, later with -all")
        elif (lookups := _lookups(texts, domain, set())) > _MOST_LOOKUPS:
            check("spf", False, f"{lookups} look-ups, and receivers make {_MOST_LOOKUPS}", "take out the includes that are not used")
        else:
            check("spf", True, f"{domain}: {records[0]}", "")


def _spf_of(texts: Texts, domain: str) -> list[str]:
    return [text for text in texts(domain) if text.lower() == "v=spf1" or text.lower().startswith("v=spf1 ")]


def _lookups(texts: Texts, domain: str, seen: set[str]) -> int:
    """How many look-ups a receiver needs for a record and those that it includes."""
    seen.add(domain)
    count = 0
    for word in [word.lstrip("+-~?") for record in _spf_of(texts, domain)[:1] for word in record.lower().split()[1:]]:
        name, target = (word.partition("=") if word.startswith("redirect=") else word.partition(":"))[::2]
        if name.partition("/")[0] in {"a", "mx", "ptr", "exists", "include", "redirect"}:
            count += 1
        if name in {"include", "redirect"} and target and target not in seen and "%" not in target and len(seen) <= _MOST_LOOKUPS:
            count += _lookups(texts, target, seen)
    return count


def _check_dkim(check: Check, texts: Texts, domain: str, selectors: Sequence[str], guide: str) -> None:
    if not selectors:
        step = f"give --dkim-selector: it is s= in DKIM-Signature of a mail that has arrived ({guide})"
        check("dkim", False, "which selector signs is not known", step)
        return
    names = [f"{selector}._domainkey.{domain}" for selector in selectors]
    found = [(name, text) for name in names for text in texts(name) if "p=" in text]
    if not found:
        check("dkim", False, f"no key at {' or '.join(names)}", f"add the record that your provider or signer shows for it ({guide})")
        return
    problems = [(name, problem) for name, text in found if (problem := _problem_of(text))]
    if len(problems) == len(found):
        name, problem = problems[0]
        check("dkim", False, f"{name}: {problem}", f"make a new key, and put all of its record there ({guide})")
    else:
        check("dkim", True, next(name for name, _ in found if name not in dict(problems)), "")


def _problem_of(text: str) -> str:
    """What receivers would not take of a key's record."""
    tags = _tags(text)
    if tags.get("v", "DKIM1") != "DKIM1":
        return "v= is not DKIM1"
    if not tags.get("p"):
        return "p= is empty: the key is revoked"
    try:
        key = base64.b64decode("".join(tags["p"].split()), validate=True)
    except binascii.Error:
        return "p= is no Base64: part of it is missing, or something else stands in it"
    if tags.get("k", "rsa") == "rsa" and len(key) < _LEAST_RSA_BYTES:
        return "the key has less than 1024 bits, or part of it is missing"
    return ""


def _check_dmarc(check: Check, texts: Texts, domain: str) -> None:
    labels = domain.split(".")
    above = [".".join(labels[number:]) for number in range(max(len(labels) - 1, 1))]
    for owner in above:
        records = [text for text in texts(f"_dmarc.{owner}") if text.replace(" ", "").lower().startswith("v=dmarc1")]
        if records:
            break
    else:
        wanted = f'"v=DMARC1; p=none; rua=mailto:dmarc@{domain}"'
        check("dmarc", False, f"no record at {' or '.join(f'_dmarc.{owner}' for owner in above)}", f"add TXT at _dmarc.{domain}: {wanted}")
        return
    tags = _tags(records[0])
    if len(records) > 1:
        check("dmarc", False, f"{len(records)} records at _dmarc.{owner}: receivers then heed none", "leave one")
    elif tags.get("p", "").lower() not in _POLICIES:
        check("dmarc", False, f"_dmarc.{owner}: p= must be one of {', '.join(_POLICIES)}", 'begin it with "v=DMARC1; p=none;"')
    else:
        policy = tags["p"].lower() if owner == domain else tags.get("sp", tags["p"]).lower()
        later = "; read the reports, then ask for quarantine and reject" if policy == "none" else ""
        blind = "" if tags.get("rua") else "; without rua= you get no reports"
        check("dmarc", True, f"_dmarc.{owner} asks for {policy}{later}{blind}", "")


def _tags(text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in text.split(";") if "=" in part]
    return {name.strip().lower(): value.strip() for name, _, value in pairs}
