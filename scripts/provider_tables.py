"""Write the tables of docs/providers.md from the tables that decide, in email_worker/replies.py and push_worker/answers.py."""

import sys
from collections.abc import Iterable

from email_worker import replies
from push_worker import answers
from scripts.gen import ROOT

PAGE = ROOT / "docs" / "providers.md"
_STEPS = {frozenset(replies.Step): "any", replies.SESSION: "greeting, ehlo, starttls, auth", replies.ENVELOPE: "rcpt, data, dot"}


def tables() -> dict[str, str]:
    """The Markdown tables by the name in their markers."""
    return {"smtp": _table(("step", "reply", "meaning", "fault", "what happens"), map(_smtp, replies.RULES)),
            "fcm": _table(("HTTP status", "FCM's code", "meaning", "fault", "what happens"), map(_fcm, answers.RULES))}  # fmt: skip


def filled(page: str) -> str:
    """The page with its tables written anew. Raises ValueError where a marker is missing."""
    for name, table in tables().items():
        start, end = f"<!-- {name}: written by `make docs` -->\n", f"<!-- end of {name} -->\n"
        head, rest = page.split(start)
        page = f"{head}{start}{table}{end}{rest.split(end)[1]}"
    return page


def _smtp(rule: replies.Rule) -> tuple[str, ...]:
    steps = _STEPS.get(frozenset(rule.steps)) or ", ".join(sorted(rule.steps))
    said = [f"{digit}yz" for digit in rule.kind if digit.isdigit()]
    if rule.code != ".*":
        said.append(f"code `{rule.code}`")
    if rule.enhanced != ".*":
        said.append(f"enhanced `X.{rule.enhanced}`")
    if rule.words:
        said.append("words about us")
    return steps, "; ".join(said), rule.meaning, rule.fault.value, rule.treatment.value


def _fcm(rule: answers.Rule) -> tuple[str, ...]:
    code = "any" if rule.code == ".*" else f"`{rule.code}`"
    code += ", blames the token" if rule.about_token else ""
    return rule.status, "none, nor Google's JSON" if rule.foreign else code, rule.meaning, rule.fault.value, rule.treatment.value


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *(tuple(cell.replace("|", "\\|") for cell in row) for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> int:
    """Writes the page."""
    PAGE.write_text(filled(PAGE.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
