"""Which notifications get a version that is tried before it is published."""

import hashlib

from gateway.accepting.models import TemplateSummary


def tried_version(template: TemplateSummary, identifier: str, user_id: str) -> TemplateSummary | None:
    """The template with the canary's version, where it is this notification's; None for the published one.

    The same notification, or person, is always answered alike. Those who are chosen at a share are chosen at any greater one, and which
    they are differs from version to version, so that it is not the same people who try everything. Without `user_id`, of one who becomes
    a user by this very send, there is no person to choose.
    """
    canary = template.canary
    if canary is None:
        return None
    chosen_by = user_id if canary.by_user else identifier
    if not chosen_by or _place(template, canary.version.published_version, chosen_by) >= canary.percent:
        return None
    return canary.version


def _place(template: TemplateSummary, version: int, chosen_by: str) -> int:
    """0 to 99, each as likely."""
    digest = hashlib.sha256(f"{template.project}\n{template.name}\n{version}\n{chosen_by}".encode()).digest()
    return int.from_bytes(digest[:8]) % 100
