"""Framing: truth tables of the protocol's own rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmxon.debug.gdb.packets import LARGEST, PacketReader, Signal, escaped, packet, unescaped


@pytest.mark.parametrize(("content", "sent"), [(b"", b"$#00"), (b"OK", b"$OK#9a"), (b"g", b"$g#67")])
def test_a_packet_has_its_checksum(content: bytes, sent: bytes) -> None:
    assert packet(content) == sent


@pytest.mark.parametrize(
    ("stream", "items"),
    [
        (b"+$g#67", [Signal.ACKNOWLEDGED, b"g"]),
        (b"$g#67\x03", [b"g", Signal.INTERRUPT]),
        (b"$g#68-", [Signal.DAMAGED, Signal.RESEND]),
        (b"noise$OK#9A$g#67", [b"OK", b"g"]),
        (b"$g#6", []),
        (b"$" + b"a" * (LARGEST + 4), [Signal.DAMAGED]),
    ],
)
def test_a_stream_is_cut_into_packets(stream: bytes, items: list[bytes | Signal]) -> None:
    assert list(PacketReader().feed(stream)) == items
    reader = PacketReader()
    assert [item for byte in stream for item in reader.feed(bytes((byte,)))] == items


@given(st.binary())
def test_binary_data_survives_the_wire(data: bytes) -> None:
    assert list(PacketReader().feed(packet(escaped(data)))) == [escaped(data)]
    assert unescaped(escaped(data)) == data
