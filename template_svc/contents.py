"""Checks what an author submits: all that can be known before a rendering is refused here, with every fault named at once."""

from collections.abc import Iterator, Mapping

from delivery.fcm_fields import faults
from mesh.errors import FieldViolation
from naming.locales import UnknownLocale, canonical
from template_svc.blocks import PLATFORMS, texts_of
from template_svc.errors import InvalidContents
from template_svc.models import Channel, Checked, Content
from template_svc.renderer import REQUIRED, CompiledContent, Compiler, PartFault, is_https

# Characters of source in all locales together: it bounds the time that compiling takes.
MAX_VERSION_SIZE = 1_000_000
MAX_DATA_KEY = 100

_FOREIGN = {Channel.EMAIL: ("title", "body", "image", "data", *PLATFORMS), Channel.PUSH: ("subject", "html", "text")}
_RESERVED_KEYS = frozenset({"from", "notification", "message_type"})
_RESERVED_PREFIXES = ("google", "gcm")


def check_contents(contents: Mapping[str, Content], channel: Channel, default_locale: str, compiler: Compiler) -> Checked:
    """Raises InvalidContents with every fault. Takes seconds for the largest contents."""
    if not contents:
        raise InvalidContents.because([FieldViolation("contents", "is required")])
    if sum(content.size for content in contents.values()) > MAX_VERSION_SIZE:
        raise InvalidContents.because([FieldViolation("contents", f"must have at most {MAX_VERSION_SIZE} characters in all")])
    violations: list[FieldViolation] = []
    checked: dict[str, Content] = {}
    compiled: dict[str, CompiledContent] = {}
    paths: dict[str, str] = {}
    for tag, content in contents.items():
        path = f"contents.{tag}"
        try:
            locale = canonical(tag)
        except UnknownLocale:
            violations.append(FieldViolation(path, "is not a known BCP 47 locale such as en or pt-BR"))
            continue
        if locale in checked:
            violations.append(FieldViolation(path, f"is the same locale as contents.{paths[locale]}"))
            continue
        checked[locale], paths[locale] = content, tag
        found = list(_faults(path, content, channel))
        violations.extend(found)
        if not found:
            try:
                compiled[locale] = compiler.compile(content, channel)
            except PartFault as fault:
                wrong = (fault, *fault.others)
                violations += [FieldViolation(f"{path}.{each.part}", f"line {each.line}: {each.description}") for each in wrong]
    if default_locale not in checked and not violations:
        violations.append(FieldViolation("contents", f"must hold the template's default locale {default_locale!r}"))
    if not violations:
        violations.extend(_unknown_variables(compiled, default_locale, paths))
    if violations:
        raise InvalidContents.because(violations)
    required = set[str]().union(*(content.variables.required for content in compiled.values()))
    return Checked({tag: locale for locale, tag in paths.items()}, sorted(required))


def _unknown_variables(compiled: Mapping[str, CompiledContent], default_locale: str, paths: Mapping[str, str]) -> Iterator[FieldViolation]:
    """A translation may leave a variable out, but one that only it needs is a slip: senders look at the default locale."""
    known = compiled[default_locale].variables.known
    for locale, content in compiled.items():
        extra = sorted(content.variables.required - known)
        if extra:
            names = ", ".join(repr(name) for name in extra)
            yield FieldViolation(
                f"contents.{paths[locale]}", f"needs {names}, which the default locale {default_locale!r} does not mention"
            )


def _faults(path: str, content: Content, channel: Channel) -> Iterator[FieldViolation]:
    for name in _FOREIGN[channel]:
        if getattr(content, name):
            yield FieldViolation(f"{path}.{name}", f"does not belong into a template for {channel.value}")
    for name in REQUIRED[channel]:
        if not getattr(content, name).strip():
            yield FieldViolation(f"{path}.{name}", f"is required for {channel.value}")
    if channel is Channel.EMAIL and not content.html.strip() and not content.text.strip():
        yield FieldViolation(path, "needs html or text, or both")
    for name in ("subject", "html", "text", "title", "body", "image"):
        if "\0" in getattr(content, name):
            yield FieldViolation(f"{path}.{name}", "must not contain NUL characters")
    if channel is Channel.PUSH:
        yield from _push_faults(path, content)


def _push_faults(path: str, content: Content) -> Iterator[FieldViolation]:
    for key, value in content.data.items():
        problem = _key_problem(key)
        if problem:
            yield FieldViolation(f"{path}.data.{key}" if key.isprintable() else f"{path}.data", problem)
        elif "\0" in value:
            yield FieldViolation(f"{path}.data.{key}", "must not contain NUL characters")
    for platform in PLATFORMS:
        block = getattr(content, platform)
        for field, problem in faults(platform, block):
            yield FieldViolation(f"{path}.{platform}.{field}", problem)
        if any("\0" in text for _, text in texts_of(block, platform)):
            yield FieldViolation(f"{path}.{platform}", "must not contain NUL characters")
    literal, brace, _ = content.image.partition("{")
    could_be_https = literal.startswith("https://") or (bool(brace) and "https://".startswith(literal))
    if content.image and not (could_be_https if brace else is_https(content.image)):
        yield FieldViolation(f"{path}.image", "must be an https URL")


def _key_problem(key: str) -> str | None:
    if not key or len(key) > MAX_DATA_KEY or not key.isprintable():
        return f"a key must have 1 to {MAX_DATA_KEY} printable characters"
    if key.casefold() in _RESERVED_KEYS or key.casefold().startswith(_RESERVED_PREFIXES):
        return "is a key that Firebase Cloud Messaging reserves"
    return None
