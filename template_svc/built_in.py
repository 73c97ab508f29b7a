"""The mails about a person's account, which every project has and none can change: their author could read what opens the account.

They read `account`: `link`, or `code` where no public address of the console is known, and `brand`, the project's name.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from naming.account_mails import ADDRESS_VERIFICATION, CATEGORY, NEW_ADDRESS, PASSWORD_RESET
from template_svc.models import Channel, Content, OnUnknown, StoredVersion, Template, TemplateKey, TemplateSummary

_VERSION = 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Words(NamedTuple):
    """`{brand}` stands for the project's name."""

    subject: str
    lead: str
    follow: str
    button: str
    type_in: str
    once: str
    not_you: str


_RESET = {
    "en": Words(
        "A new password for {brand}",
        "Someone has asked for a new password for your account at {brand}.",
        "If it was you, choose one here:",
        "Choose a new password",
        "If it was you, this code sets a new one:",
        "This works once, and for 30 minutes.",
        "If it was not you, there is nothing to do: your password stays as it is.",
    ),
    "de": Words(
        "Ein neues Passwort f\u00fcr {brand}",
        "F\u00fcr Ihr Konto bei {brand} wurde ein neues Passwort angefordert.",
        "Wenn Sie das waren, w\u00e4hlen Sie hier eines:",
        "Neues Passwort w\u00e4hlen",
        "Wenn Sie das waren, setzen Sie mit diesem Code ein neues:",
        "Das geht einmal und 30 Minuten lang.",
        "Wenn Sie es nicht waren, ist nichts zu tun: Ihr Passwort bleibt, wie es ist.",
    ),
    "fr": Words(
        "Un nouveau mot de passe pour {brand}",
        "Un nouveau mot de passe a \u00e9t\u00e9 demand\u00e9 pour votre compte chez {brand}.",
        "Si c'\u00e9tait vous, choisissez-en un ici\u00a0:",
        "Choisir un nouveau mot de passe",
        "Si c'\u00e9tait vous, ce code permet d'en d\u00e9finir un\u00a0:",
        "Cela fonctionne une seule fois, pendant 30 minutes.",
        "Si ce n'\u00e9tait pas vous, il n'y a rien \u00e0 faire\u00a0: votre mot de passe reste le m\u00eame.",
    ),
    "es": Words(
        "Una contrase\u00f1a nueva para {brand}",
        "Se ha pedido una contrase\u00f1a nueva para su cuenta en {brand}.",
        "Si fue usted, elija una aqu\u00ed:",
        "Elegir una contrase\u00f1a nueva",
        "Si fue usted, este c\u00f3digo permite definir una:",
        "Funciona una sola vez, durante 30 minutos.",
        "Si no fue usted, no tiene que hacer nada: su contrase\u00f1a sigue siendo la misma.",
    ),
    "pt": Words(
        "Uma nova senha para {brand}",
        "Foi pedida uma nova senha para a sua conta em {brand}.",
        "Se foi voc\u00ea, escolha uma aqui:",
        "Escolher uma nova senha",
        "Se foi voc\u00ea, este c\u00f3digo define uma nova:",
        "Funciona uma s\u00f3 vez, durante 30 minutos.",
        "Se n\u00e3o foi voc\u00ea, n\u00e3o \u00e9 preciso fazer nada: a sua senha continua a mesma.",
    ),
}
_VERIFICATION = {
    "en": Words(
        "Please confirm your e-mail address for {brand}",
        "This address was given to {brand} as yours.",
        "If it is, confirm it here:",
        "Confirm this address",
        "If it is, this code confirms it:",
        "This works once, and for 24 hours.",
        "If you do not know {brand}, there is nothing to do.",
    ),
    "de": Words(
        "Bitte best\u00e4tigen Sie Ihre E-Mail-Adresse f\u00fcr {brand}",
        "Diese Adresse wurde bei {brand} als Ihre angegeben.",
        "Wenn sie Ihre ist, best\u00e4tigen Sie sie hier:",
        "Adresse best\u00e4tigen",
        "Wenn sie Ihre ist, best\u00e4tigt dieser Code sie:",
        "Das geht einmal und 24 Stunden lang.",
        "Wenn Sie {brand} nicht kennen, ist nichts zu tun.",
    ),
    "fr": Words(
        "Veuillez confirmer votre adresse pour {brand}",
        "Cette adresse a \u00e9t\u00e9 indiqu\u00e9e \u00e0 {brand} comme \u00e9tant la v\u00f4tre.",
        "Si c'est le cas, confirmez-la ici\u00a0:",
        "Confirmer cette adresse",
        "Si c'est le cas, ce code la confirme\u00a0:",
        "Cela fonctionne une seule fois, pendant 24 heures.",
        "Si vous ne connaissez pas {brand}, il n'y a rien \u00e0 faire.",
    ),
    "es": Words(
        "Confirme su direcci\u00f3n de correo para {brand}",
        "Esta direcci\u00f3n se indic\u00f3 en {brand} como suya.",
        "Si lo es, conf\u00edrmela aqu\u00ed:",
        "Confirmar esta direcci\u00f3n",
        "Si lo es, este c\u00f3digo la confirma:",
        "Funciona una sola vez, durante 24 horas.",
        "Si no conoce {brand}, no tiene que hacer nada.",
    ),
    "pt": Words(
        "Confirme o seu endere\u00e7o de e-mail para {brand}",
        "Este endere\u00e7o foi indicado em {brand} como seu.",
        "Se for, confirme-o aqui:",
        "Confirmar este endere\u00e7o",
        "Se for, este c\u00f3digo confirma-o:",
        "Funciona uma s\u00f3 vez, durante 24 horas.",
        "Se n\u00e3o conhece {brand}, n\u00e3o \u00e9 preciso fazer nada.",
    ),
}
_TEXT = """{lead}

{{% if account.link %}}{follow}

{{{{ account.link }}}}
{{% else %}}{type_in}

{{{{ account.code }}}}
{{% endif %}}
{once}
{not_you}
"""
_HTML = """<!doctype html>
<html lang="{locale}"><body style="font-family: sans-serif; line-height: 1.5">
<p>{lead}</p>
{{% if account.link %}}<p>{follow}</p>
<p><a href="{{{{ account.link }}}}">{button}</a></p>
{{% else %}}<p>{type_in}</p>
<p><code>{{{{ account.code }}}}</code></p>
{{% endif %}}<p>{once}<br>{not_you}</p>
</body></html>
"""


def _content(locale: str, words: Words) -> Content:
    said = {name: text.replace("{brand}", "{{ account.brand }}") for name, text in words._asdict().items()}
    return Content(subject=said["subject"], text=_TEXT.format(**said), html=_HTML.format(**said, locale=locale))


def _stored(words: Mapping[str, Words]) -> StoredVersion:
    return StoredVersion(Channel.EMAIL, "en", {locale: _content(locale, one) for locale, one in words.items()}, ())


VERSIONS: Mapping[str, StoredVersion] = {
    PASSWORD_RESET: _stored(_RESET),
    ADDRESS_VERIFICATION: _stored(_VERIFICATION),
    NEW_ADDRESS: _stored(_VERIFICATION),
}


def summary_of(key: TemplateKey) -> TemplateSummary:
    """What accepting one of these mails needs to know, in any project."""
    template = Template(
        project=key.project,
        name=key.name,
        channel=Channel.EMAIL,
        category=CATEGORY,
        description="",
        # whatever the person has chosen, they have asked for this one
        mandatory=True,
        on_unknown=OnUnknown.RESEND,
        default_locale="en",
        published_version=_VERSION,
        latest_version=_VERSION,
        create_time=_EPOCH,
        update_time=_EPOCH,
    )
    return TemplateSummary(key.name, template, locales=tuple(sorted(VERSIONS[key.name].contents)))
