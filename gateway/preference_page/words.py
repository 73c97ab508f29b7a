"""The page's words, in the languages that it speaks."""

from typing import NamedTuple


class Words(NamedTuple):
    """`{brand}` and `{timezone}` stand for the project's name and the person's time zone."""

    title: str
    intro: str
    email: str
    push: str
    mandatory: str
    nothing: str
    quiet: str
    quiet_about: str
    start: str
    end: str
    save: str
    refuse_mail: str
    saved: str
    bad_hours: str
    invalid: str
    later: str


WORDS = {
    "en": Words(
        title="Choose what you get",
        intro="Choose what {brand} sends you, and how.",
        email="E-mail",
        push="Push",
        mandatory="This is always sent.",
        nothing="There is nothing to choose yet.",
        quiet="Do not disturb",
        quiet_about="What is not urgent waits. The times are those of {timezone}.",
        start="from",
        end="to",
        save="Save",
        refuse_mail="Stop all e-mails",
        saved="Your choices are saved.",
        bad_hours="Please give two times that differ, such as 22:00 and 07:00. Nothing was saved.",
        invalid="This link is not valid, or not any more.",
        later="This does not work at the moment. Please try again in a minute.",
    ),
    "de": Words(
        title="Ausw\u00e4hlen, was Sie erhalten",
        intro="W\u00e4hlen Sie, was {brand} Ihnen sendet und auf welchem Weg.",
        email="E-Mail",
        push="Push",
        mandatory="Wird immer gesendet.",
        nothing="Es gibt noch nichts auszuw\u00e4hlen.",
        quiet="Nicht st\u00f6ren",
        quiet_about="Was nicht dringend ist, wartet. Die Uhrzeiten gelten f\u00fcr {timezone}.",
        start="von",
        end="bis",
        save="Speichern",
        refuse_mail="Keine E-Mails mehr",
        saved="Ihre Auswahl ist gespeichert.",
        bad_hours="Bitte geben Sie zwei verschiedene Uhrzeiten an, etwa 22:00 und 07:00. Es wurde nichts gespeichert.",
        invalid="Dieser Link ist nicht oder nicht mehr g\u00fcltig.",
        later="Das ist im Moment nicht m\u00f6glich. Bitte versuchen Sie es in einer Minute erneut.",
    ),
    "fr": Words(
        title="Choisir ce que vous recevez",
        intro="Choisissez ce que {brand} vous envoie, et comment.",
        email="E-mail",
        push="Notification push",
        mandatory="Toujours envoy\u00e9.",
        nothing="Il n\u2019y a encore rien \u00e0 choisir.",
        quiet="Ne pas d\u00e9ranger",
        quiet_about="Ce qui n\u2019est pas urgent attend. Les heures sont celles de {timezone}.",
        start="de",
        end="\u00e0",
        save="Enregistrer",
        refuse_mail="Ne plus recevoir d\u2019e-mails",
        saved="Vos choix sont enregistr\u00e9s.",
        bad_hours="Indiquez deux heures diff\u00e9rentes, comme 22:00 et 07:00. Rien n\u2019a \u00e9t\u00e9 enregistr\u00e9.",
        invalid="Ce lien n\u2019est pas valide, ou ne l\u2019est plus.",
        later="Ce n\u2019est pas possible pour le moment. Veuillez r\u00e9essayer dans une minute.",
    ),
    "es": Words(
        title="Elegir qu\u00e9 recibe",
        intro="Elija qu\u00e9 le env\u00eda {brand} y c\u00f3mo.",
        email="Correo electr\u00f3nico",
        push="Notificaci\u00f3n push",
        mandatory="Se env\u00eda siempre.",
        nothing="Todav\u00eda no hay nada que elegir.",
        quiet="No molestar",
        quiet_about="Lo que no es urgente espera. Las horas son las de {timezone}.",
        start="de",
        end="a",
        save="Guardar",
        refuse_mail="No recibir m\u00e1s correos",
        saved="Sus preferencias se han guardado.",
        bad_hours="Indique dos horas distintas, por ejemplo 22:00 y 07:00. No se ha guardado nada.",
        invalid="Este enlace no es v\u00e1lido o ya no lo es.",
        later="No es posible en este momento. Vuelva a intentarlo en un minuto.",
    ),
    "pt": Words(
        title="Escolher o que recebe",
        intro="Escolha o que {brand} lhe envia, e como.",
        email="E-mail",
        push="Notifica\u00e7\u00e3o push",
        mandatory="\u00c9 sempre enviado.",
        nothing="Ainda n\u00e3o h\u00e1 nada para escolher.",
        quiet="N\u00e3o incomodar",
        quiet_about="O que n\u00e3o \u00e9 urgente espera. As horas s\u00e3o as de {timezone}.",
        start="das",
        end="\u00e0s",
        save="Guardar",
        refuse_mail="N\u00e3o receber mais e-mails",
        saved="As suas escolhas foram guardadas.",
        bad_hours="Indique duas horas diferentes, por exemplo 22:00 e 07:00. Nada foi guardado.",
        invalid="Este link n\u00e3o \u00e9 v\u00e1lido, ou j\u00e1 n\u00e3o \u00e9.",
        later="N\u00e3o \u00e9 poss\u00edvel neste momento. Tente novamente daqui a um minuto.",
    ),
}
