"""What `clarion doctor --smtp` and `--fcm` try: a provider as the variables of a worker name it, without sending anything."""

from __future__ import annotations

import json
import os
import smtplib
import ssl
from collections.abc import Callable
from email.utils import parseaddr
from pathlib import Path

Check = Callable[[str, bool, str, str], None]

_TIMEOUT_S = 15
_DOCS = "docs/providers"
_APP_PASSWORD_LETTERS = 16
_IAM_SECRET_LETTERS = 40
_REFUSED = 400


def check_smtp(check: Check) -> None:
    """Connects, encrypts, signs in and asks whether the sender may send, by the variables CLARION_SMTP_*."""
    host, user = os.environ.get("CLARION_SMTP_HOST", ""), os.environ.get("CLARION_SMTP_USER", "")
    password, tls = os.environ.get("CLARION_SMTP_PASSWORD", ""), os.environ.get("CLARION_SMTP_TLS", "starttls")
    port = os.environ.get("CLARION_SMTP_PORT", "587")
    sender = parseaddr(os.environ.get("CLARION_SMTP_FROM", ""))[1]
    if not host or not port.isdigit() or "@" not in sender:
        check(
            "settings",
            False,
            "no server, port or sender",
            "set CLARION_SMTP_HOST, CLARION_SMTP_PORT and CLARION_SMTP_FROM as the worker has them",
        )
        return
    problem, page = known_mistake(host, user, password)
    check("settings", not problem, problem or f"{host}:{port}, {tls}, from {sender}", page)
    context = ssl.create_default_context(cafile=os.environ.get("CLARION_SMTP_CA_FILE") or None)
    try:
        if tls == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(host, int(port), timeout=_TIMEOUT_S, context=context)
        else:
            server = smtplib.SMTP(host, int(port), timeout=_TIMEOUT_S)
    except ssl.SSLError as error:
        check(
            "connect",
            False,
            f"{host}:{port}: {error}",
            "port 465 takes CLARION_SMTP_TLS=tls, port 587 starttls; CLARION_SMTP_CA_FILE names a CA of your own",
        )
        return
    except (OSError, smtplib.SMTPException) as error:
        check("connect", False, f"{host}:{port}: {error}", "is the port right, and does the network let it out? Many clouds close 25")
        return
    with server:
        try:
            server.ehlo()
            check("connect", True, f"{host}:{port} answers", "")
            if tls == "starttls" and not _encrypt(server, context, check):
                return
            if user and not _sign_in(server, user, password, check):
                return
            code, said = server.mail(sender)
            accepted = code < _REFUSED
            step = f"verify the sender or its domain with the provider: see {_DOCS}"
            check("sender", accepted, f"{sender}: {code} {said.decode(errors='replace')}", step)
        except (OSError, smtplib.SMTPException) as error:
            check("dialogue", False, str(error), "the server ended the connection: its log says why")


def _encrypt(server: smtplib.SMTP, context: ssl.SSLContext, check: Check) -> bool:
    if not server.has_extn("starttls"):
        check(
            "tls",
            False,
            "STARTTLS is not offered",
            "CLARION_SMTP_TLS=tls where the port is 465; otherwise ask the provider for the right port",
        )
        return False
    try:
        server.starttls(context=context)
    except ssl.SSLError as error:
        check(
            "tls", False, str(error), "CLARION_SMTP_CA_FILE names the CA that signed the server's certificate, where it is not a public one"
        )
        return False
    server.ehlo()
    check("tls", True, "encrypted, and the certificate is the server's", "")
    return True


def _sign_in(server: smtplib.SMTP, user: str, password: str, check: Check) -> bool:
    try:
        server.login(user, password)
    except smtplib.SMTPNotSupportedError:
        check("sign-in", False, "the server offers no AUTH here", "it may want TLS first, or no user at all (a relay that goes by address)")
    except smtplib.SMTPAuthenticationError as error:
        detail = error.smtp_error.decode(errors="replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
        check(
            "sign-in",
            False,
            f"{error.smtp_code} {detail}",
            f"user and password are those of the provider's SMTP, not of its website: see {_DOCS}",
        )
    else:
        check("sign-in", True, f"as {user}", "")
        return True
    return False


def known_mistake(host: str, user: str, password: str) -> tuple[str, str]:
    """What is wrong with the settings though they look right, and the page about that provider."""
    if host.endswith(("gmail.com", "google.com")):
        page = f"{_DOCS}/gmail.md"
        if user and "@" not in user:
            return "the user is the whole address", page
        if host == "smtp.gmail.com" and user and len(password.replace(" ", "")) != _APP_PASSWORD_LETTERS:
            return "the password is no app password: those have 16 letters", page
    elif host.endswith("sendgrid.net"):
        if user != "apikey":
            return "the user is the word apikey, the password an API key", f"{_DOCS}/sendgrid.md"
    elif host.startswith("email-smtp.") and host.endswith("amazonaws.com"):
        if len(password) == _IAM_SECRET_LETTERS:
            return "the password looks like an IAM secret key: SES wants SMTP credentials", f"{_DOCS}/ses.md"
    elif host.endswith("mailgun.org") and "@" not in user:
        return "the user is postmaster@ and your domain", f"{_DOCS}/mailgun.md"
    return "", ""


def check_fcm(check: Check) -> None:
    """Reads the service account that CLARION_FCM_CREDENTIALS_FILE names."""
    path = os.environ.get("CLARION_FCM_CREDENTIALS_FILE", "")
    page = f"see {_DOCS}/fcm.md"
    try:
        account = json.loads(Path(path).read_text(encoding="utf-8")) if path else {}
    except (OSError, ValueError) as error:
        check("account", False, f"{path}: {error}", page)
        return
    missing = [name for name in ("project_id", "client_email", "private_key", "token_uri") if not account.get(name)]
    if not path:
        check("account", False, "no file", "set CLARION_FCM_CREDENTIALS_FILE as push_worker has it")
    elif account.get("type") != "service_account":
        kind = (
            "google-services.json is for the app, not for a server"
            if "project_info" in account
            else "it is not of the type service_account"
        )
        check("account", False, f"{path}: {kind}", page)
    elif missing or "PRIVATE KEY" not in account["private_key"]:
        check("account", False, f"{path}: without {', '.join(missing) or 'a private key'}", page)
    else:
        project = os.environ.get("CLARION_FCM_PROJECT_ID") or account["project_id"]
        check("account", True, f"{account['client_email']} for the project {project}", "")
