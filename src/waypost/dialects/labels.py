"""What a caller says to us in `metadata`, in OpenAI's protocols: read, and taken out before the rest goes on."""

from msgspec import Struct
from msgspec.json import Decoder

from waypost.dialects.json_edit import decode, edit_members, member_of


class _Metadata(Struct, gc=False):
    task: str | None = None
    combination_id: str | None = None


_decoder = Decoder(_Metadata)


def labels_of(metadata: bytes) -> tuple[str | None, str | None]:
    """(task, combination). `metadata` belongs to the caller: only an object with text under our names says anything."""
    if not metadata.startswith(b"{"):
        return None, None
    labels = decode(_decoder, metadata)
    return labels.task, labels.combination_id


def without_labels(body: bytes) -> bytes | None:
    """`metadata` without what is said to us alone; None, so that it goes too, where nothing else is in it."""
    there = member_of(body, "metadata")
    if there is None:
        return None
    rest = edit_members(body[there.value : there.end], {"task": None, "combination_id": None})
    return rest if rest.strip(b"{} \t\r\n") else None
