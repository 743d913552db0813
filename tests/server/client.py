"""A client that sends exactly the bytes it is told, and reads answers with a parser of its own.

It knows nothing of http.client, so that both would have to be wrong in the same way for a fault to stay unseen. Strict:
what a server may not send is an AssertionError here.
"""

from __future__ import annotations

import re
import socket
import struct
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

PATIENCE = 30.0
"""Seconds without any progress after which a test has failed."""


class ClosedError(AssertionError):
    """The server closed the connection where an answer, or the rest of one, should have come."""


@dataclass
class Response:
    """One answer as it came."""

    status: int
    reason: str
    version: str
    fields: list[tuple[str, str]]
    body: bytes = b""
    complete: bool = True
    """False: the connection ended inside the body, which is how an answer is visibly broken."""
    framing: str = "length"
    """"length", "chunked", "close" or "none"."""
    interim: list[int] = field(default_factory=list)
    """Statuses of the interim answers that came before."""

    def __getitem__(self, name: str) -> str:
        """The value of the only field `name`."""
        values = self.all(name)
        assert len(values) == 1, f"{name}: {values} in {self.fields}"
        return values[0]

    def all(self, name: str) -> list[str]:
        """All values of the field `name`, in order."""
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def closes(self) -> bool:
        """Whether the answer announces that the connection ends."""
        return any("close" in re.split(r"\s*,\s*", value.lower()) for value in self.all("Connection"))

    @property
    def text(self) -> str:
        return self.body.decode()


class Client:
    """One connection."""

    def __init__(
        self, address: tuple[str, int] | str, *, receive_buffer: int | None = None, source: str | None = None
    ) -> None:
        if isinstance(address, str):
            family = socket.AF_UNIX
        else:
            family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        try:
            if receive_buffer is not None:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            if family != socket.AF_UNIX:
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if source is not None:
                self.socket.bind((source, 0))
            self.socket.settimeout(PATIENCE)
            self.socket.connect(address)
        except BaseException:
            self.socket.close()
            raise
        self._pending = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def send(self, data: bytes) -> Self:
        """Send all of `data`."""
        self.socket.sendall(data)
        return self

    def trickle(self, data: bytes) -> Self:
        """Send `data` one byte in each segment."""
        for position in range(len(data)):
            self.socket.sendall(data[position : position + 1])
        return self

    def half_close(self) -> Self:
        """Send no more, but go on reading."""
        self.socket.shutdown(socket.SHUT_WR)
        return self

    def reset(self) -> None:
        """Break the connection off with a RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        self.socket.close()

    def get(self, path: str = "/", *fields: str, method: str = "GET", version: str = "1.1") -> Response:
        """One request without a body, and its answer."""
        self.send(request(path, *fields, method=method, version=version))
        return self.response(method)

    def response(self, method: str = "GET") -> Response:
        """Read one answer, interim ones included, to a request with `method`. Raises ClosedError."""
        interim: list[int] = []
        while True:
            answer = self._head()
            if answer.status >= 200:
                break
            interim.append(answer.status)
        answer.interim = interim
        self._body(answer, method)
        return answer

    def interim(self) -> Response:
        """Read one head alone, such as 100 (Continue)."""
        return self._head()

    def rest(self) -> bytes:
        """Everything that comes until the server closes; a reset counts as a close."""
        data, self._pending = self._pending, b""
        while True:
            try:
                piece = self.socket.recv(65536)
            except ConnectionResetError:
                return data
            if not piece:
                return data
            data += piece

    def closed(self) -> bool:
        """Wait until the server has closed, and tell whether it did so without another byte."""
        return self.rest() == b""

    def silent(self, seconds: float = 0.2) -> bool:
        """Whether nothing comes, not even a close, for `seconds`."""
        if self._pending:
            return False
        self.socket.settimeout(seconds)
        try:
            return self.socket.recv(1, socket.MSG_PEEK) is None
        except TimeoutError:
            return True
        except ConnectionResetError:
            return False
        finally:
            self.socket.settimeout(PATIENCE)

    def _more(self) -> bool:
        try:
            piece = self.socket.recv(65536)
        except ConnectionResetError:
            piece = b""
        self._pending += piece
        return piece != b""

    def _line(self) -> bytes:
        while b"\n" not in self._pending:
            if not self._more():
                raise ClosedError(f"closed after {self._pending!r}")
        line, _, self._pending = self._pending.partition(b"\n")
        assert line.endswith(b"\r"), f"line without CR: {line!r}"
        assert b"\r" not in line[:-1], f"bare CR: {line!r}"
        return line[:-1]

    def _head(self) -> Response:
        line = self._line().decode("latin-1")
        match = re.fullmatch(r"HTTP/(1\.1) (\d{3}) ([\t -~\x80-\xff]*)", line)
        assert match, f"not a status line: {line!r}"
        fields = []
        while raw := self._line().decode("latin-1"):
            pair = re.fullmatch(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~\x80-\xff]*?)[ \t]*", raw)
            assert pair, f"not a field: {raw!r}"
            fields.append((pair[1], pair[2]))
        return Response(int(match[2]), match[3], match[1], fields)

    def _body(self, answer: Response, method: str) -> None:
        codings, lengths = answer.all("Transfer-Encoding"), answer.all("Content-Length")
        assert not (codings and lengths), f"both framings at once: {answer.fields}"
        assert len(lengths) <= 1, lengths
        if method == "HEAD" or answer.status in {204, 304}:
            answer.framing = "none"
        elif codings:
            assert codings == ["chunked"], codings
            answer.framing = "chunked"
            self._chunks(answer)
        elif lengths:
            self._exactly(answer, int(lengths[0]))
        else:
            answer.framing = "close"
            answer.body = self.rest()

    def _exactly(self, answer: Response, length: int) -> None:
        data = self._pending[:length]
        parts, got = [data], len(data)
        self._pending = self._pending[length:]
        while got < length:
            try:
                piece = self.socket.recv(min(length - got, 1 << 20))
            except ConnectionResetError:
                piece = b""
            if not piece:
                answer.complete = False
                break
            parts.append(piece)
            got += len(piece)
        answer.body += b"".join(parts)

    def _chunks(self, answer: Response) -> None:
        while True:
            try:
                line = self._line()
            except ClosedError:
                answer.complete = False
                return
            assert re.fullmatch(rb"[0-9A-Fa-f]+", line), f"not a chunk size: {line!r}"
            size = int(line, 16)
            if size == 0:
                assert self._line() == b"", "a trailer that was not announced"
                return
            self._exactly(answer, size)
            if not answer.complete:
                return
            try:
                assert self._line() == b"", "a chunk that does not end where it should"
            except ClosedError:
                answer.complete = False
                return


def request(
    path: str = "/", *fields: str, method: str = "GET", version: str = "1.1", body: bytes | None = None
) -> bytes:
    """The bytes of a request; `fields` are whole lines. A body gets its Content-Length."""
    lines = [f"{method} {path} HTTP/{version}"]
    if not any(line.lower().startswith("host:") for line in fields):
        lines.append("Host: localhost")
    lines += fields
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + (body or b"")


def chunked(*pieces: bytes) -> bytes:
    """A body in the chunked coding, one chunk for each piece."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
