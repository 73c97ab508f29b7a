"""The files of mails: what may be one."""

import mimetypes
import re
import unicodedata
from collections.abc import Sequence

from gateway.accepting.models import AttachedFile
from mesh.errors import InvalidArgument
from naming.text import check_label, check_name

_TYPE = re.compile(r"[A-Za-z0-9][\w.+-]*/[A-Za-z0-9][\w.+-]*(?:; *[\w-]+=(?:[\w.+-]+|\"[\w .:/+-]*\"))*", re.ASCII)
# Many mail programs show and keep a file by this name and not by that of Content-Disposition.
_OTHER_NAME = re.compile(r";\s*(?:file)?name=", re.IGNORECASE)
# A mail in a mail can't be encoded as files are (RFC 2046, section 5.2), and a multipart is no file.
_NO_FILES = ("multipart/", "message/")
# Gmail takes no mail with one of these, in an archive or not, and other large receivers neither (Gmail's page "File types blocked").
_REFUSED = frozenset((
    "ade", "adp", "apk", "appx", "appxbundle", "bat", "cab", "chm", "cmd", "com", "cpl", "diagcab", "dll", "dmg", "exe", "hta", "img",
    "ins", "iso", "isp", "jar", "js", "jse", "lib", "lnk", "mde", "msc", "msi", "msix", "msp", "mst", "nsh", "pif", "ps1", "scr", "sct",
    "shb", "sys", "vb", "vbe", "vbs", "vhd", "vxd", "wsc", "wsf", "wsh", "xll",
))  # fmt: skip


def check_attachments(files: Sequence[AttachedFile]) -> tuple[AttachedFile, ...]:
    """With their media types filled in. Raises InvalidArgument, which names the place and the rule."""
    ids = [each.content_id for each in files if each.content_id]
    if len(set(ids)) < len(ids):
        raise InvalidArgument.of("attachments", "two of them have the same content_id")
    return tuple(_checked(f"attachments[{index}]", each) for index, each in enumerate(files))


def _checked(place: str, file: AttachedFile) -> AttachedFile:
    if bool(file.content) == bool(file.attachment_id):
        raise InvalidArgument.of(f"{place}.content", "either the content or the attachment_id of one that is kept is needed, and not both")
    check_label(f"{place}.filename", check_name(f"{place}.filename", file.filename))
    if "/" in file.filename or "\\" in file.filename or not file.filename.strip(". "):
        raise InvalidArgument.of(f"{place}.filename", "must be a name without a folder")
    ending = _ending(file.filename)
    if ending in _REFUSED:
        raise InvalidArgument.of(f"{place}.filename", f"large receivers refuse mails with .{ending} files; send a link to it in its place")
    kind = file.content_type or mimetypes.guess_type(file.filename, strict=False)[0] or "application/octet-stream"
    if not _TYPE.fullmatch(kind) or kind.lower().startswith(_NO_FILES):
        raise InvalidArgument.of(f"{place}.content_type", "must be the media type of a file, such as application/pdf")
    if _OTHER_NAME.search(kind):
        raise InvalidArgument.of(f"{place}.content_type", "must not name the file: filename does")
    return file._replace(content_type=kind)


def _ending(filename: str) -> str:
    """Without what systems leave out as they keep a file, such as blanks of any kind at its end, or show alike."""
    plain = "".join(each for each in unicodedata.normalize("NFKC", filename) if each.isalnum() or each == ".")
    return plain.rstrip(".").rpartition(".")[2].lower() if "." in plain else ""
