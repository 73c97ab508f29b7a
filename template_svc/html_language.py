"""The language and the direction of an HTML part: screen readers and mail clients go by `lang` and `dir`."""

import re

from template_svc.reader import right_to_left

# A start tag whose attributes an author has written plainly; one with Jinja2 in it stays as it is.
_HTML_TAG = re.compile(r"<html(?P<attributes>(?:\s[^<>{}]*)?)>", re.IGNORECASE)
_LANG = re.compile(r"\slang\s*=", re.IGNORECASE)
_DIR = re.compile(r"\sdir\s*=", re.IGNORECASE)
_DOCUMENT = re.compile(r"<(?:html|body|head|!doctype)\b", re.IGNORECASE)


def with_language(source: str, locale: str) -> str:
    """The source with `lang` and, for a script from right to left, `dir` on its `html` element where they are missing.

    A fragment without that element is put into a `div` with both when its script goes from right to left.
    """
    direction = ' dir="rtl"' if right_to_left(locale) else ""
    found = _HTML_TAG.search(source)
    if found is None:
        return (
            f'<div lang="{locale}"{direction}>{source}</div>' if direction and source.strip() and not _DOCUMENT.search(source) else source
        )
    attributes = found["attributes"]
    added = ("" if _LANG.search(attributes) else f' lang="{locale}"') + ("" if _DIR.search(attributes) else direction)
    end = found.start() + len("<html")
    return source[:end] + added + source[end:]
