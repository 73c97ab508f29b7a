"""What a narrowed key may send."""

from gateway.accepting.errors import KeyRestricted
from mesh.context import Caller
from naming.bounds import CATEGORIES, RECIPIENT_DOMAINS, TEMPLATES, covers, covers_address


def check_template_bound(caller: Caller, template: str) -> None:
    """Raises KeyRestricted. Before the template is looked up, so that the key does not learn which others there are."""
    allowed = caller.bound(TEMPLATES)
    if allowed and not covers(allowed, template):
        raise KeyRestricted("template", TEMPLATES, allowed)


def check_category_bound(caller: Caller, category: str) -> None:
    """Raises KeyRestricted. `category` is the one in use, of the request or of its template."""
    allowed = caller.bound(CATEGORIES)
    if allowed and not covers(allowed, category):
        raise KeyRestricted("category", CATEGORIES, allowed)


def check_address_bound(caller: Caller, email: str) -> None:
    """Raises KeyRestricted. Of a user the address at delivery counts, which may be another one by then."""
    allowed = caller.bound(RECIPIENT_DOMAINS)
    if allowed and not covers_address(allowed, email):
        raise KeyRestricted("to.email", "recipient domains", allowed)
