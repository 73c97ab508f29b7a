"""Sending one mail."""

from dataclasses import replace
from typing import Protocol

from email_worker.models import ComposedMail, Mail, MailSender


class MailComposer(Protocol):
    """Writes mails."""

    def compose(self, mail: Mail) -> ComposedMail:
        """The finished mail. Raises UnsafeMail."""
        ...


class MailProvider(Protocol):
    """Hands mails on."""

    async def send(self, mail: ComposedMail) -> None:
        """Returns when the mail was taken. Raises DeliveryError."""
        ...


class MailSigner(Protocol):
    """Signs mails from one domain."""

    @property
    def domain(self) -> str: ...

    def sign(self, message: bytes) -> bytes:
        """The mail with its signature."""
        ...


class Signers(Protocol):
    """The keys of projects' domains."""

    async def of(self, project: str, domain: str, selector: str) -> MailSigner:
        """Raises DeliveryError."""
        ...


class SendMail:
    """Composes a mail, signs it where there is a key of its sender's domain, and hands it to the provider.

    `signers` are the projects' keys, None where the provider signs. `own` signs what is from the installation's own sender, and from
    other addresses of its domain and those below.
    """

    def __init__(
        self, *, composer: MailComposer, provider: MailProvider, signers: Signers | None = None, own: MailSigner | None = None
    ) -> None:
        self._composer = composer
        self._provider = provider
        self._signers = signers
        self._own = own

    async def __call__(self, mail: Mail) -> None:
        """Returns when the mail was taken. Raises DeliveryError; a permanent one, before anybody is called, for a mail that is unsafe."""
        composed = self._composer.compose(mail)
        signer = await self._signer(mail.sender)
        if signer is not None:
            composed = replace(composed, message=signer.sign(composed.message))
        await self._provider.send(composed)

    async def _signer(self, sender: MailSender | None) -> MailSigner | None:
        if sender is None:
            return self._own
        if sender.dkim_selector:
            return await self._signers.of(sender.project, sender.dkim_domain, sender.dkim_selector) if self._signers is not None else None
        domain = sender.email.rpartition("@")[2].lower()
        ours = self._own is not None and (domain == self._own.domain or domain.endswith(f".{self._own.domain}"))
        return self._own if ours else None
