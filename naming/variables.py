"""Names of template variables that Clarion fills itself."""

# The person's name, language, time zone and attributes, unless the sender sets a variable of that name: no sender has to.
PERSON = "user"
