"""One field of a form is changed; everything else stays byte for byte."""

from __future__ import annotations

from email.parser import BytesParser
from email.policy import HTTP

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferencekey.local.data_plane.multipart import replace_field

NAMES = st.text("abcdefmodl_", min_size=1, max_size=8)
PARTS = st.lists(st.tuples(NAMES, st.binary(max_size=200), st.booleans()), max_size=5)
BOUNDARY = "----boundary7MA4YWxkTrZu0gW"


def form(parts: list[tuple[str, bytes, bool]], boundary: str = BOUNDARY) -> bytes:
    body = b""
    for name, value, is_file in parts:
        file = (
            f'; filename="{name}.bin"\r\nContent-Type: application/octet-stream' if is_file else ""
        )
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
        body += head.encode() + value + b"\r\n"
    return body + f"--{boundary}--\r\n".encode()


@given(PARTS)
def test_only_the_named_field_changes(parts: list[tuple[str, bytes, bool]]) -> None:
    changed = [
        (name, b"the-model" if name == "model" and not is_file else value, is_file)
        for name, value, is_file in parts
    ]
    kind = f'multipart/form-data; boundary="{BOUNDARY}"'
    assert replace_field(form(parts), kind, "model", "the-model") == form(changed)


@given(st.binary(max_size=300), st.text(max_size=60))
def test_a_body_that_is_not_a_form_is_unchanged(body: bytes, kind: str) -> None:
    assert (
        replace_field(body, "multipart/form-data; boundary=zzz-not-in-there", "model", "m") == body
    )
    assert isinstance(
        replace_field(body, kind.replace("\n", "").replace("\r", ""), "model", "m"), bytes
    )


@pytest.mark.anyio
async def test_a_form_as_clients_send_it() -> None:
    data = aiohttp.FormData()
    data.add_field("model", "support-bot")
    data.add_field("file", b"\x00\r\n--x\r\n\xff", filename="a.wav", content_type="audio/wav")
    writer = data()
    sent = await writer.as_bytes()
    got = replace_field(sent, writer.content_type, "model", "tiny.en")
    message = BytesParser(policy=HTTP).parsebytes(
        f"Content-Type: {writer.content_type}\r\n\r\n".encode() + got
    )
    parts = {
        part.get_param("name", header="content-disposition"): part for part in message.iter_parts()
    }  # type: ignore[attr-defined]
    assert parts["model"].get_payload().strip() == "tiny.en"
    assert got == sent.replace(b"support-bot", b"tiny.en")
