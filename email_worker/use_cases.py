"""Sending one mail."""

from typing import Protocol

from email_worker.models import ComposedMail, Mail


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


class SendMail:
    """Composes a mail and hands it to the provider."""

    def __init__(self, *, composer: MailComposer, provider: MailProvider) -> None:
        self._composer = composer
        self._provider = provider

    async def __call__(self, mail: Mail) -> None:
        """Returns when the mail was taken. Raises DeliveryError; a permanent one, before anybody is called, for a mail that is unsafe."""
        await self._provider.send(self._composer.compose(mail))
