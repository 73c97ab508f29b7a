"""The errors of attachments, each with its stable reason."""

from mesh.errors import FieldViolation, InvalidArgument, NotFound, ResourceExhausted


class AttachmentUnknown(InvalidArgument):
    """A notification names an attachment that is not kept."""

    reason = "ATTACHMENT_NOT_FOUND"

    @classmethod
    def at(cls, index: int) -> "AttachmentUnknown":
        """The one at this place of the request."""
        field = f"attachments[{index}].attachment_id"
        message = "is not kept, or is no more: POST /v1/attachments keeps its content"
        return cls(f"{field}: {message}", violations=[FieldViolation(field, message)])


class TooManyUnused(ResourceExhausted):
    """The project has kept many files first and sent none of them."""

    reason = "TOO_MANY_ATTACHMENTS"

    def __init__(self, most: int) -> None:
        way = "send some, put small ones into the send itself, or wait: each goes after a day"
        super().__init__(f"{most} files of the project wait to be sent already; {way}", retry_after_s=60)


class AttachmentGone(NotFound):
    """It is not kept any more."""

    reason = "ATTACHMENT_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("an attachment of this mail is not kept any more")
