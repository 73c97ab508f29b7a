"""The page's words, in the languages that it speaks."""

from typing import NamedTuple


class Words(NamedTuple):
    """`{category}` stands for the category."""

    title: str
    question: str
    button: str
    done: str
    mandatory: str
    invalid: str
    later: str
    more: str


WORDS = {
    "en": Words(
        title="Unsubscribe",
        question="Stop e-mails of the category \u201c{category}\u201d?",
        button="Unsubscribe",
        done="You get no more e-mails of the category \u201c{category}\u201d.",
        mandatory="E-mails of the category \u201c{category}\u201d must be sent at present, whatever you choose.",
        invalid="This link is not valid, or not any more.",
        later="This does not work at the moment. Please try again in a minute.",
        more="Choose what you get",
    ),
    "de": Words(
        title="Abmelden",
        question="Keine E-Mails der Kategorie \u201e{category}\u201c mehr erhalten?",
        button="Abmelden",
        done="Sie erhalten keine E-Mails der Kategorie \u201e{category}\u201c mehr.",
        mandatory="E-Mails der Kategorie \u201e{category}\u201c m\u00fcssen zurzeit gesendet werden, wie auch immer Sie sich entscheiden.",
        invalid="Dieser Link ist nicht oder nicht mehr g\u00fcltig.",
        later="Das ist im Moment nicht m\u00f6glich. Bitte versuchen Sie es in einer Minute erneut.",
        more="Ausw\u00e4hlen, was Sie erhalten",
    ),
    "fr": Words(
        title="Se d\u00e9sabonner",
        question="Ne plus recevoir les e-mails de la cat\u00e9gorie \u00ab\u00a0{category}\u00a0\u00bb\u00a0?",
        button="Se d\u00e9sabonner",
        done="Vous ne recevrez plus les e-mails de la cat\u00e9gorie \u00ab\u00a0{category}\u00a0\u00bb.",
        mandatory="Les e-mails de la cat\u00e9gorie \u00ab\u00a0{category}\u00a0\u00bb restent envoy\u00e9s, quel que soit votre choix.",
        invalid="Ce lien n\u2019est pas valide, ou ne l\u2019est plus.",
        later="Ce n\u2019est pas possible pour le moment. Veuillez r\u00e9essayer dans une minute.",
        more="Choisir ce que vous recevez",
    ),
    "es": Words(
        title="Darse de baja",
        question="\u00bfDejar de recibir correos de la categor\u00eda \u00ab{category}\u00bb?",
        button="Darse de baja",
        done="No recibir\u00e1 m\u00e1s correos de la categor\u00eda \u00ab{category}\u00bb.",
        mandatory="Por ahora, los correos de la categor\u00eda \u00ab{category}\u00bb deben enviarse, sea cual sea su elecci\u00f3n.",
        invalid="Este enlace no es v\u00e1lido o ya no lo es.",
        later="No es posible en este momento. Vuelva a intentarlo en un minuto.",
        more="Elegir qu\u00e9 recibe",
    ),
    "pt": Words(
        title="Cancelar inscri\u00e7\u00e3o",
        question="Deixar de receber e-mails da categoria \u201c{category}\u201d?",
        button="Cancelar inscri\u00e7\u00e3o",
        done="Voc\u00ea n\u00e3o receber\u00e1 mais e-mails da categoria \u201c{category}\u201d.",
        mandatory="No momento, os e-mails da categoria \u201c{category}\u201d precisam ser enviados, seja qual for sua escolha.",
        invalid="Este link n\u00e3o \u00e9 v\u00e1lido ou deixou de ser.",
        later="Isso n\u00e3o \u00e9 poss\u00edvel no momento. Tente novamente em um minuto.",
        more="Escolher o que recebe",
    ),
}
