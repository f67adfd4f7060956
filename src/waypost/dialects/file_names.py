"""Names for files that come without one, where a protocol insists on a name. Knows the endings of media types."""

from collections.abc import Mapping
from types import MappingProxyType

_ENDINGS: Mapping[str, str] = MappingProxyType(
    {
        "application/pdf": "pdf",
        "application/json": "json",
        "application/msword": "doc",
        "application/rtf": "rtf",
        "application/vnd.ms-excel": "xls",
        "application/vnd.ms-powerpoint": "ppt",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
        "text/csv": "csv",
        "text/html": "html",
        "text/markdown": "md",
        "text/plain": "txt",
    }
)


def document_name(media_type: str | None) -> str:
    """By its ending a provider tells what it is; most are PDF, so that is what an unknown one is taken for."""
    plain = (media_type or "").partition(";")[0].strip().lower()
    return "document." + _ENDINGS.get(plain, "pdf")
