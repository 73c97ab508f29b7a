"""What can be done with attachments: keep them, use them in a notification, read and forget them."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol
from uuid import UUID

from mesh.errors import InvalidArgument
from template_svc.attachments.errors import AttachmentGone, AttachmentUnknown, TooManyUnused
from template_svc.attachments.models import MAX_TOGETHER, MAX_UNUSED, UNUSED_S, Attachment, AttachmentKey, File, Use, digest_of


class AttachmentStore(Protocol):
    """Where attachments are kept."""

    async def keep(self, project: str, file: File, keep_for_s: float, most: int) -> Attachment | None:
        """One that is there is kept longer where that is needed. None for another where the project has `most` that no notification has
        carried yet.
        """
        ...

    async def sizes(self, project: str, digests: Collection[bytes]) -> Mapping[bytes, int]:
        """Of those of the attachments that are there, in bytes."""
        ...

    async def use(self, use: Use, digests: Collection[bytes], files: Sequence[File]) -> Sequence[Attachment]:
        """Keeps the files, holds those that `digests` name, and records that the notification carries them. Those that are there then,
        each once, in any order.
        """
        ...

    async def find(self, key: AttachmentKey) -> bytes | None: ...

    async def forget(self, user_id: UUID) -> None:
        """Deletes what no one else's notifications use. May be repeated."""
        ...

    async def clean(self) -> int:
        """Deletes some that no one needs any more, and returns how many."""
        ...


class Attachments:
    """The attachments of all projects."""

    def __init__(self, store: AttachmentStore) -> None:
        self._store = store

    async def create(self, project: str, content: bytes) -> Attachment:
        """For a day, unless it is used until then. Raises TooManyUnused."""
        made = await self._store.keep(project, File.of(content), UNUSED_S, MAX_UNUSED)
        if made is None:
            raise TooManyUnused(MAX_UNUSED)
        return made

    async def use(self, use: Use, given: Sequence[bytes | str]) -> list[Attachment]:
        """`given` are contents and ids. One attachment for each, in order. Raises AttachmentUnknown, InvalidArgument."""
        parts = [File.of(each) if isinstance(each, bytes) else digest_of(each) for each in given]
        files = [part for part in parts if isinstance(part, File)]
        wanted = [part.digest if isinstance(part, File) else part for part in parts]
        sizes = {file.digest: len(file.content) for file in files}
        named = {digest for digest in wanted if digest is not None} - sizes.keys()
        sizes |= await self._store.sizes(use.project, named) if named else {}
        _refuse_unknown(wanted, sizes)
        together = sum(sizes[digest] for digest in wanted if digest is not None)
        if together > MAX_TOGETHER:
            raise InvalidArgument.of("attachments", f"must be at most {MAX_TOGETHER // 1024**2} MiB together; these are {together} bytes")
        kept = {each.digest: each for each in await self._store.use(use, named, files)}
        _refuse_unknown(wanted, kept)
        return [kept[digest] for digest in wanted if digest is not None]

    async def content(self, project: str, identifier: str) -> bytes:
        """Raises AttachmentGone."""
        digest = digest_of(identifier)
        content = await self._store.find(AttachmentKey(project, digest)) if digest is not None else None
        if content is None:
            raise AttachmentGone
        return content

    async def forget(self, user_id: UUID) -> None:
        """Deletes what only this person's notifications use."""
        await self._store.forget(user_id)

    async def clean(self) -> None:
        """Deletes what no notification needs any more, some at a time."""
        while await self._store.clean():
            pass


def _refuse_unknown(wanted: Sequence[bytes | None], known: Mapping[bytes, object]) -> None:
    for index, digest in enumerate(wanted):
        if digest is None or digest not in known:
            raise AttachmentUnknown.at(index)
