"""How large a template's text can get, known before it is rendered: what lets most notifications be accepted without asking for their text.

The bound is the source with every variable in it as often as it is put in. Only what can be bounded by reading is: plain members of
variables, some filters, and conditions. A loop, a macro or any other expression makes a text that only rendering can measure.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator

from delivery.push_message import MAX_PUSH_BYTES, PushText, greatest_size
from template_svc.blocks import PLATFORMS, texts_of
from template_svc.models import Channel, Content, TextSize
from template_svc.renderer import MAX_SUBJECT

_TAG = re.compile(r"\{\{[-+]?(?P<put>.*?)[-+]?\}\}|\{%[-+]?(?P<does>.*?)[-+]?%\}|\{#.*?#\}", re.DOTALL)
_CONDITION = re.compile(r"\s*(if|elif|else|endif)\b")
_LITERALS = r"\((?:\s*(?:\"[^\"]*\"|'[^']*'|[\d.]+|true|false|\w+\s*=)\s*,?)*\)"
# None of these makes more than three bytes of one, apart from what stands in the source itself.
_SHORT_FILTERS = "default|d|lower|upper|capitalize|title|trim|truncate|first|last|length|count|int|round|abs|striptags"
_PUT = re.compile(rf"\s*(?P<path>[^\W\d]\w*(?:\.\w+)*)\s*(?P<filters>(?:\|\s*(?:{_SHORT_FILTERS})\b\s*(?:{_LITERALS})?\s*)*)")
_FILTERED = 3
_MOST_PATHS = 200


def size_of_text(contents: Iterable[Content], channel: Channel) -> TextSize:
    """The bound for all locales of a version: of a push in bytes, of the subject of a mail in characters."""
    limit = MAX_PUSH_BYTES if channel is Channel.PUSH else MAX_SUBJECT
    fixed, paths = 0, Counter[str]()
    for content in contents:
        fixed = max(fixed, _source_size(content, channel))
        found = Counter[str]()
        for source in _sources(content, channel):
            put = _put_in(source)
            if put is None:
                return TextSize(limit, limit + 1)
            found.update(put)
        paths |= found
    if fixed > limit or paths.total() > _MOST_PATHS:
        return TextSize(limit, limit + 1)
    return TextSize(limit, fixed, tuple(sorted(paths.elements())))


def _sources(content: Content, channel: Channel) -> Iterator[str]:
    if channel is Channel.EMAIL:
        yield content.subject
        return
    yield from (content.title, content.body, content.image, *content.data.values())
    for platform in PLATFORMS:
        yield from (text for _, text in texts_of(getattr(content, platform), platform))


def _source_size(content: Content, channel: Channel) -> int:
    if channel is Channel.EMAIL:
        return len(content.subject)
    # a platform's block may hold what is no number yet, so it is counted beside the message and not in it
    blocks = (getattr(content, platform) for platform in PLATFORMS)
    return greatest_size(PushText(content.title, content.body, content.data, content.image)) + sum(
        len(json.dumps(block, ensure_ascii=False).encode()) for block in blocks if block
    )


def _put_in(source: str) -> list[str] | None:
    """The members of variables that a text puts in, each as often as it may count; None where that can't be read off."""
    if "{" not in source:
        return []
    paths: list[str] = []
    for tag in _TAG.finditer(source):
        if tag["does"] is not None and not _CONDITION.match(tag["does"]):
            return None
        if tag["put"] is not None:
            put = _PUT.fullmatch(tag["put"])
            if put is None:
                return None
            paths += [put["path"]] * (_FILTERED if put["filters"] else 1)
    return paths
