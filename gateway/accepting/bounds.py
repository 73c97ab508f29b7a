"""What a narrowed key may send."""

from gateway.accepting.errors import KeyRestricted
from gateway.accepting.models import Addressee
from mesh.context import Caller
from naming.bounds import CATEGORIES, RECIPIENT_DOMAINS, TEMPLATES, covers, covers_address


def check_template_bound(caller: Caller, template: str) -> None:
    """Raises KeyRestricted. Before the template is looked up, so that the key does not learn which others there are."""
    allowed = caller.bound(TEMPLATES)
    if allowed and not covers(allowed, template):
        raise KeyRestricted("template", TEMPLATES, allowed)


def check_category_bound(caller: Caller, given: str, of_template: str) -> None:
    """Raises KeyRestricted. The category in use counts, and that of the template also where the request gives another one in its place."""
    allowed = caller.bound(CATEGORIES)
    if allowed and not covers(allowed, given or of_template):
        raise KeyRestricted("category", CATEGORIES, allowed)
    if allowed and of_template and not covers(allowed, of_template):
        raise KeyRestricted("template", CATEGORIES, allowed)


def check_address_bound(caller: Caller, to: Addressee) -> None:
    """Raises KeyRestricted, for a device in any case. Of a user the address at delivery counts, which may be another one by then."""
    allowed = caller.bound(RECIPIENT_DOMAINS)
    if allowed and not covers_address(allowed, to.email):
        raise KeyRestricted("to.email" if to.email else "to.device_token", "recipient domains", allowed)
