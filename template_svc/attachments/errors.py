"""The errors of attachments, each with its stable reason."""

from mesh.errors import FieldViolation, InvalidArgument, NotFound


class AttachmentUnknown(InvalidArgument):
    """A notification names an attachment that is not kept."""

    reason = "ATTACHMENT_NOT_FOUND"

    @classmethod
    def at(cls, index: int) -> "AttachmentUnknown":
        """The one at this place of the request."""
        field = f"attachments[{index}].attachment_id"
        message = "is not kept, or is no more: POST /v1/attachments keeps its content"
        return cls(f"{field}: {message}", violations=[FieldViolation(field, message)])


class AttachmentGone(NotFound):
    """It is not kept any more."""

    reason = "ATTACHMENT_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("an attachment of this mail is not kept any more")
