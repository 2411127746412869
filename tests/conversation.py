"""Golden HTTP conversations: bytes sent, and what must come back, as text files.

    # Comments say what the conversation shows.
    >>>
    POST /function/echo HTTP/1.1
    Host: fathom
    Content-Length: 5

    hello
    <<<
    HTTP/1.1 200 OK
    X-Call-Id: {uuid}
    !Transfer-Encoding

    hello

Lines of `>>>` are sent with CRLF ends, without one after the last; `\\r`, `\\n`, `\\t`, `\\0` and `\\\\` stand for
those bytes, and a line that ends in `\\` joins the next. Nothing to send is an empty `>>>`. `{auth}` is the Authorization field with the
password, `{wrong_auth}` one with another. In `<<<` the status line must match; named fields must be
there, `!Name` must not; the body must match when there is an empty line. `{any}`, `{uuid}`,
`{digits}`, `{number}` stand for text of that form; `...` as the whole body for any. `{closed}` alone
as the last line: the server closes the connection after it.
"""

import base64
import re
from dataclasses import dataclass, field
from pathlib import Path

FORMS = {
    "any": r"[\s\S]*?",
    "uuid": r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
    "digits": r"[0-9]+",
    "number": r"[0-9.]+",
}
ESCAPES = {"r": "\r", "n": "\n", "t": "\t", "0": "\0", "\\": "\\"}


@dataclass
class Turn:
    line: int
    sent: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)


def read(path: Path) -> list[Turn]:
    turns, into = [], None
    for number, line in enumerate(path.read_text().split("\n"), 1):
        if line == ">>>":
            turns.append(Turn(number))
            into = turns[-1].sent
        elif line == "<<<":
            into = turns[-1].expected
        elif into is not None:
            into.append(line)
    for turn in turns:
        while turn.expected and turn.expected[-1] == "":
            turn.expected.pop()
    return turns


def bytes_to_send(lines: list[str], names: dict[str, str]) -> bytes:
    text = "\r\n".join(lines).replace("\\\r\n", "")
    text = re.sub(r"\\([rnt0\\])", lambda match: ESCAPES[match[1]], text)
    for name, value in names.items():
        text = text.replace("{" + name + "}", value)
    return text.encode("latin-1")


def names_for(fathom) -> dict[str, str]:
    def basic(password: str) -> str:
        pair = f"{fathom.ready['username']}:{password}".encode()
        return "Authorization: Basic " + base64.b64encode(pair).decode()

    return {"auth": basic(fathom.password), "wrong_auth": basic("guess")}


class Reader:
    """Answers off a socket, one at a time."""

    def __init__(self, connection):
        self.connection = connection
        self.buffer = b""

    def _more(self) -> bool:
        chunk = self.connection.recv(65536)
        self.buffer += chunk
        return bool(chunk)

    def _until(self, end: bytes) -> bytes:
        while end not in self.buffer:
            if not self._more():
                raise AssertionError(f"the connection closed; it had sent {self.buffer!r}")
        head, _, self.buffer = self.buffer.partition(end)
        return head

    def _exactly(self, count: int) -> bytes:
        while len(self.buffer) < count:
            if not self._more():
                raise AssertionError(f"closed {count - len(self.buffer)} bytes early")
        body, self.buffer = self.buffer[:count], self.buffer[count:]
        return body

    def _chunked(self) -> bytes:
        body = b""
        while size := int(self._until(b"\r\n").split(b";")[0], 16):
            body += self._exactly(size)
            self._exactly(2)
        while self._until(b"\r\n"):
            pass
        return body

    def _rest(self) -> bytes:
        while self._more():
            pass
        rest, self.buffer = self.buffer, b""
        return rest

    def answer(self, is_to_head: bool):
        """(status line, [(name, value)], body) of the next answer."""
        lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        fields = [tuple(part.strip() for part in line.split(":", 1)) for line in lines[1:]]
        by_name = {name.lower(): value for name, value in fields}
        status = int(lines[0].split(" ")[1])
        if is_to_head or status < 200 or status in (204, 304):
            body = b""
        elif "chunked" in by_name.get("transfer-encoding", ""):
            body = self._chunked()
        elif "content-length" in by_name:
            body = self._exactly(int(by_name["content-length"]))
        else:
            body = self._rest()
        return lines[0], fields, body

    def is_closed(self) -> bool:
        try:
            return self.buffer == b"" and not self._more()
        except ConnectionResetError:
            return True


def pattern(text: str) -> re.Pattern:
    parts = re.split(r"\{(\w+)\}", text)
    made = "".join(
        re.escape(part) if index % 2 == 0 else FORMS[part] for index, part in enumerate(parts)
    )
    return re.compile(made)


def complaint(expected: list[str], got) -> str | None:
    """What of the answer is not as expected, or None."""
    status_line, fields, body = got
    head, body_lines = expected, None
    if "" in expected:
        cut = expected.index("")
        head, body_lines = expected[:cut], expected[cut + 1 :]
    shown = "\n".join([status_line, *(f"{name}: {value}" for name, value in fields), "", repr(body[:2000])])
    if not pattern(head[0]).fullmatch(status_line):
        return f"expected {head[0]!r}, got\n{shown}"
    for line in head[1:]:
        if line.startswith("!"):
            if any(name.lower() == line[1:].lower() for name, _ in fields):
                return f"{line[1:]} must not be there:\n{shown}"
            continue
        name, _, value = line.partition(":")
        values = [value_got for name_got, value_got in fields if name_got.lower() == name.lower()]
        if not any(pattern(value.strip()).fullmatch(value_got) for value_got in values):
            return f"expected {line!r}, got\n{shown}"
    if body_lines is not None and body_lines != ["..."]:
        wanted = "\n".join(body_lines)
        if not pattern(wanted).fullmatch(body.decode("latin-1").replace("\r\n", "\n").rstrip("\n")):
            return f"expected the body {wanted!r}, got\n{shown}"
    return None


def hold(path: Path, fathom) -> None:
    """Has the conversation of the file; AssertionError with the line where it went another way."""
    names = names_for(fathom)
    with fathom.connect() as connection:
        reader = Reader(connection)
        for turn in read(path):
            expected = list(turn.expected)
            closes = expected[-1:] == ["{closed}"]
            if closes:
                expected.pop()
            connection.sendall(bytes_to_send(turn.sent, names))
            while expected and expected[-1] == "":
                expected.pop()
            if expected:
                is_to_head = "".join(turn.sent[:1]).startswith("HEAD ")
                wrong = complaint(expected, reader.answer(is_to_head))
                if wrong:
                    raise AssertionError(f"{path.name}:{turn.line}: {wrong}")
            if closes and not reader.is_closed():
                raise AssertionError(f"{path.name}:{turn.line}: the connection is still open")
