"""Changing one field of a ``multipart/form-data`` body; the rest stays byte for byte. Pure."""

from __future__ import annotations

import re
from email.message import Message
from typing import Final

__all__ = ["replace_field"]

_NAME: Final = re.compile(rb'(?im)^content-disposition:[^\r\n]*;\s*name="?([^";\r\n]*)"?')
_FILE: Final = re.compile(rb"(?im)^content-disposition:[^\r\n]*;\s*filename\*?=")


def replace_field(body: bytes, content_type: str, name: str, value: str) -> bytes:
    """Return the body with the plain field *name* set to *value*.

    A body without such a field is returned unchanged.

    Args:
        body: the whole body.
        content_type: the header, with the boundary.
        name: the field's name.
        value: the field's new value.
    """
    header = Message()
    header["Content-Type"] = content_type
    boundary = header.get_param("boundary")
    if not isinstance(boundary, str) or not boundary:
        return body
    # RFC 2046, section 5.1.1: the line break before a boundary belongs to the boundary.
    mark = b"--" + boundary.encode("latin-1", "replace")
    parts = (b"\r\n" + body).split(b"\r\n" + mark)
    changed = [_replace_in(part, name.encode(), value.encode()) for part in parts]
    return (b"\r\n" + mark).join(changed).removeprefix(b"\r\n")


def _replace_in(part: bytes, name: bytes, value: bytes) -> bytes:
    head, blank, _ = part.partition(b"\r\n\r\n")
    found = _NAME.search(head)
    if not blank or found is None or found[1] != name or _FILE.search(head):
        return part
    return head + blank + value
