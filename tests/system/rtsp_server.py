"""A small RTSP camera for tests: H.264 over RTP, interleaved in the TCP connection (RFC 2326, 3550, 6184).

Run as ``python rtsp_server.py PORT FPS``; port 0 picks a free one; the port is printed when it listens. Every picture
(320 x 240) carries the milliseconds of the machine's monotonic clock as 32 black or white blocks, so that a reader on the same
machine can tell how old a picture really is.
"""

import contextlib
import re
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np

WIDTH, HEIGHT, COLUMNS, ROWS = 320, 240, 8, 4
_RTP_CLOCK_HZ = 90_000
_MAX_PAYLOAD_BYTES = 1400


def stamp(milliseconds: int) -> np.ndarray:
    """(240, 320, 3) uint8 picture of the number's 32 bits."""
    bits = [(milliseconds >> bit) & 1 for bit in range(COLUMNS * ROWS)]
    blocks = np.array(bits, np.uint8).reshape(ROWS, COLUMNS) * 160 + 48
    grey = np.kron(blocks, np.ones((HEIGHT // ROWS, WIDTH // COLUMNS), np.uint8))
    return np.repeat(grey[:, :, None], 3, axis=2)


def read_stamp(pixels: np.ndarray) -> int:
    """The number in a received picture."""
    centres = pixels[HEIGHT // ROWS // 2 :: HEIGHT // ROWS, WIDTH // COLUMNS // 2 :: WIDTH // COLUMNS].mean(axis=2)
    return sum(1 << bit for bit, level in enumerate(centres.ravel()) if level > 128)


def pictures(fps: float) -> Iterator[tuple[int, bytes]]:
    """(RTP time, Annex B access unit), one per 1/fps s, for ever."""
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    encoder.time_base = Fraction(1, _RTP_CLOCK_HZ)
    encoder.framerate = Fraction(round(fps))
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "g": "5", "crf": "18"}
    encoder.thread_count = 1
    began = time.monotonic()
    for number in range(1 << 30):
        time.sleep(max(0.0, began + number / fps - time.monotonic()))
        now = time.monotonic()
        frame = av.VideoFrame.from_ndarray(stamp(round(now * 1000) & 0xFFFFFFFF), format="bgr24")
        frame.pts = round((now - began) * _RTP_CLOCK_HZ)
        for packet in encoder.encode(frame):
            yield packet.pts, bytes(packet)


def payloads(access_unit: bytes) -> list[bytes]:
    """RTP payloads: whole NAL units, or fragments (FU-A) of large ones."""
    result = []
    for unit in re.split(b"\0\0\0?\1", access_unit)[1:]:
        if len(unit) <= _MAX_PAYLOAD_BYTES:
            result.append(unit)
            continue
        parts = [unit[at : at + _MAX_PAYLOAD_BYTES] for at in range(1, len(unit), _MAX_PAYLOAD_BYTES)]
        for index, part in enumerate(parts):
            flags = (index == 0) << 7 | (index == len(parts) - 1) << 6
            result.append(bytes([unit[0] & 0xE0 | 28, flags | unit[0] & 0x1F]) + part)
    return result


def stream(client: socket.socket, fps: float) -> None:
    sequence = 0
    try:
        for rtp_time, access_unit in pictures(fps):
            units = payloads(access_unit)
            for index, payload in enumerate(units):
                marker = (index == len(units) - 1) << 7
                header = struct.pack(">BBHII", 0x80, marker | 96, sequence & 0xFFFF, rtp_time & 0xFFFFFFFF, 0x51C)
                client.sendall(struct.pack(">BBH", 0x24, 0, len(header) + len(payload)) + header + payload)
                sequence += 1
    except OSError:
        return  # the client went away


def serve(client: socket.socket, fps: float) -> None:
    with contextlib.suppress(ConnectionError):  # the client went away
        answer(client, fps)


def answer(client: socket.socket, fps: float) -> None:
    sdp = "\r\n".join(
        ("v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=test", "c=IN IP4 127.0.0.1", "t=0 0", "m=video 0 RTP/AVP 96",
         "a=rtpmap:96 H264/90000", "a=fmtp:96 packetization-mode=1", "a=control:track", "")
    )  # fmt: skip
    with client, client.makefile("rb") as requests:
        while line := requests.readline():
            if line[:1] == b"$":  # an RTCP report of the client; this server needs none
                requests.read(struct.unpack(">H", line[2:4])[0] - len(line) + 4)
                continue
            method = line.split()[0].decode()
            headers = {}
            while (header := requests.readline().strip()) != b"":
                name, _, value = header.decode().partition(":")
                headers[name.lower()] = value.strip()
            extra, body = "Public: OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN\r\nSession: 1\r\n", ""
            if method == "DESCRIBE":
                body = sdp
                extra += f"Content-Type: application/sdp\r\nContent-Length: {len(sdp)}\r\n"
            elif method == "SETUP":
                extra += "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
            client.sendall(f"RTSP/1.0 200 OK\r\nCSeq: {headers.get('cseq', '0')}\r\n{extra}\r\n{body}".encode())
            if method == "PLAY":
                threading.Thread(target=stream, args=(client, fps), daemon=True).start()


def main() -> None:
    port, fps = int(sys.argv[1]), float(sys.argv[2])
    with socket.create_server(("127.0.0.1", port)) as server:
        print(server.getsockname()[1], flush=True)
        while True:
            client, _ = server.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=serve, args=(client, fps), daemon=True).start()


if __name__ == "__main__":
    main()
