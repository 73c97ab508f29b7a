"""The mails about a person's account that Clarion itself sends, by the names of their built-in templates.

No project has a template of a reserved name, and no caller sends one: what such a mail holds opens the account.
"""

RESERVED = "clarion."
PASSWORD_RESET = "clarion.password-reset"  # noqa: S105  a template's name, and no password
ADDRESS_VERIFICATION = "clarion.address-verification"
NEW_ADDRESS = "clarion.new-address"  # to an address that is not the person's primary one
ACCOUNT_MAILS = frozenset({PASSWORD_RESET, ADDRESS_VERIFICATION, NEW_ADDRESS})
CATEGORY = "clarion.account"
# What the template reads beside the sender's variables and the person.
ACCOUNT = "account"
