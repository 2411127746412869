"""The Python runner: serves handler.py over HTTP/1.1 on the socket it inherits (docs/function-contract.md).

Handlers are those of the OpenFaaS templates: `handle(event, context)` (python3-http) and
`handle(req)` (python3, python3-flask).

Threads and connections: every thread waits on one epoll in which each connection is armed for one
event only. Who gets the event reads the request, calls the handler, writes the answer and arms the
connection again; so idle connections cost no thread, and a call never changes threads. Threads are
started when all are busy, up to FATHOM_CONCURRENCY (kThreadsDefault when unset or 0).

Nothing is imported here but what is compiled into the interpreter: `socket`, `os` or `json` would
cost more than the rest of the start. Heavier modules are imported where they are first needed.
"""

import posix
import select
import sys

import _signal
import _socket
import _thread

kThreadsDefault = 32
kHeadBytesMax = 1 << 20  # as the daemon's limit for all header fields together
kBodyBytesMax = 32 << 20  # FATHOM_BODY_MAX overrules it
kLineBytesMax = 8192  # chunk sizes and trailers
kReadBytes = 64 << 10
kLingerSeconds = 0.5
kQuietMs = 50  # while draining: how long a connection may still begin a request

kHtml = "text/html; charset=utf-8"  # what Flask says, which the templates of OpenFaaS run on
kText = "text/plain; charset=utf-8"
kJson = "application/json"

kReasons = {
    100: "Continue", 200: "OK", 201: "Created", 202: "Accepted", 204: "No Content",
    301: "Moved Permanently", 302: "Found", 303: "See Other", 304: "Not Modified",
    307: "Temporary Redirect", 308: "Permanent Redirect", 400: "Bad Request", 401: "Unauthorized",
    403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 409: "Conflict",
    413: "Content Too Large", 415: "Unsupported Media Type", 422: "Unprocessable Content",
    429: "Too Many Requests", 431: "Request Header Fields Too Large",
    500: "Internal Server Error", 501: "Not Implemented", 503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}  # fmt: skip

kTokenBytes = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
kControlBytes = bytes(b for b in (*range(0x20), 0x7F) if b not in b"\t\r\n")


# ---- the wire: reading a request ------------------------------------------------------------


class Refused(Exception):
    """The message is ambiguous or too big: answer `status` with `text`, then close."""

    def __init__(self, status, text):
        self.status = status
        self.text = text


class Gone(Exception):
    """The caller closed the connection."""


class Headers(dict):
    """Header fields by canonical name (X-Call-Id), found whatever the case; repeats are joined."""

    def __getitem__(self, name):
        return dict.__getitem__(self, canonical(name))

    def __contains__(self, name):
        return dict.__contains__(self, canonical(name))

    def get(self, name, default=None):
        return dict.get(self, canonical(name), default)


class Head:
    """The request line and the header fields."""

    __slots__ = ("method", "path", "query", "headers", "body_bytes", "keep_alive", "is_http_1_1")


kChunked = -1  # Head.body_bytes when the length is not known ahead


def canonical(name):
    return name.title() if isinstance(name, str) else name


def parse_head(block):
    """`block` is all before the empty line. Refuses what two readers could read differently."""
    if len(block) != len(block.translate(None, kControlBytes)):
        raise Refused(400, "a control byte in the request head")
    lines = block.split(b"\r\n")
    if block.count(b"\r") != len(lines) - 1 or block.count(b"\n") != len(lines) - 1:
        raise Refused(400, "a bare CR or LF in the request head")

    head = parse_request_line(lines[0])
    head.headers = headers = Headers()
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        if not colon or not name or name.translate(None, kTokenBytes):
            raise Refused(400, "a malformed header field")
        name = name.decode("ascii").title()
        value = value.strip(b" \t").decode("latin-1")
        if not dict.__contains__(headers, name):
            dict.__setitem__(headers, name, value)
        elif name in ("Host", "Content-Length", "Transfer-Encoding"):
            raise Refused(400, f"{name} is given twice")
        else:
            joined = dict.__getitem__(headers, name) + ", " + value
            dict.__setitem__(headers, name, joined)

    if head.is_http_1_1 and "Host" not in headers:
        raise Refused(400, "Host is missing")
    head.body_bytes = body_bytes(head)
    connection = dict.get(headers, "Connection", "").lower()
    head.keep_alive = head.is_http_1_1 and "close" not in connection
    return head


def parse_request_line(line):
    parts = line.split(b" ")
    if len(parts) != 3:
        raise Refused(400, "the request line must be: METHOD SP TARGET SP VERSION")
    method, target, version = parts
    if not method or method.translate(None, kTokenBytes):
        raise Refused(400, "a malformed method")
    if version not in (b"HTTP/1.1", b"HTTP/1.0"):
        raise Refused(505 if version.startswith(b"HTTP/") else 400, "only HTTP/1.1 is spoken here")
    if not target.startswith(b"/") or b"#" in target or not target.isascii():
        raise Refused(400, "the request target must be a path")
    head = Head()
    head.method = method.decode("ascii")
    path, _, query = target.decode("ascii").partition("?")
    head.path = path
    head.query = query
    head.is_http_1_1 = version == b"HTTP/1.1"
    return head


def body_bytes(head):
    """The declared length of the body, or kChunked."""
    length = dict.get(head.headers, "Content-Length")
    coding = dict.get(head.headers, "Transfer-Encoding")
    if coding is not None:
        if length is not None:
            raise Refused(400, "both Content-Length and Transfer-Encoding are given")
        if coding.lower() != "chunked" or not head.is_http_1_1:
            raise Refused(400, "the only Transfer-Encoding accepted is chunked")
        return kChunked
    if length is None:
        return 0
    if not (length.isascii() and length.isdigit() and len(length) <= 18):
        raise Refused(400, "Content-Length must be a number")
    return int(length)


class Connection:
    """One accepted socket, and the bytes read from it that belong to no request yet."""

    __slots__ = ("socket", "buffer", "at")

    def __init__(self, socket):
        self.socket = socket
        self.buffer = b""  # from `at` on
        self.at = 0

    def is_empty(self):
        return self.at == len(self.buffer)

    def fill(self):
        data = self.socket.recv(kReadBytes)
        if not data:
            raise Gone
        self.buffer = data if self.is_empty() else self.buffer[self.at :] + data
        self.at = 0

    def take(self, end):
        taken = self.buffer[self.at : end]
        self.at = end
        return taken

    def read_head(self):
        """Waits for a whole head. Gone when the caller closes."""
        searched = 0  # bytes after `at` known to hold no end
        while True:
            end = self.buffer.find(b"\r\n\r\n", self.at + searched)
            if end >= 0:
                block = self.take(end)
                self.at += 4
                return parse_head(block)
            have = len(self.buffer) - self.at
            if have > kHeadBytesMax:
                raise Refused(431, f"the request head is larger than {kHeadBytesMax} bytes")
            if self.buffer.count(b"\n", self.at) != self.buffer.count(b"\r\n", self.at):
                raise Refused(400, "a bare LF in the request head")
            searched = max(0, have - 3)
            self.fill()

    def read_body(self, head, limit):
        if head.body_bytes == 0:
            return b""
        if head.body_bytes > limit:
            raise too_large(limit)
        if self.is_empty() and dict.get(head.headers, "Expect", "").lower() == "100-continue":
            self.socket.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if head.body_bytes == kChunked:
            return self.read_chunks(limit)
        return self.read_exactly(head.body_bytes)

    def read_exactly(self, count):
        have = len(self.buffer) - self.at
        if have >= count:
            return self.take(self.at + count)
        body = bytearray(count)
        body[:have] = self.take(len(self.buffer))
        view = memoryview(body)
        while have < count:
            got = self.socket.recv_into(view[have:])
            if not got:
                raise Gone
            have += got
        return bytes(body)

    def read_line(self):
        """One line of chunked framing; they are short."""
        while True:
            end = self.buffer.find(b"\n", self.at)
            if end >= 0:
                line = self.take(end)
                self.at += 1
                if not line.endswith(b"\r") or b"\r" in line[:-1]:
                    raise Refused(400, "a bare CR or LF in the chunked body")
                return line[:-1]
            if len(self.buffer) - self.at > kLineBytesMax:
                raise Refused(400, f"a line in the chunked body is longer than {kLineBytesMax} bytes")
            self.fill()

    def read_chunks(self, limit):
        parts = []
        total = 0
        while True:
            digits = self.read_line().partition(b";")[0]
            if not 1 <= len(digits) <= 15 or digits.translate(None, b"0123456789abcdefABCDEF"):
                raise Refused(400, "a malformed chunk size")
            size = int(digits, 16)
            if size == 0:
                break
            total += size
            if total > limit:
                raise too_large(limit)
            parts.append(self.read_exactly(size))
            if self.read_exactly(2) != b"\r\n":
                raise Refused(400, "a chunk does not end with CRLF")
        trailer_bytes = 0
        while line := self.read_line():
            trailer_bytes += len(line)
            if trailer_bytes > kHeadBytesMax:
                raise Refused(431, "the trailers are too large")
        return b"".join(parts)


def too_large(limit):
    return Refused(413, f"the body is larger than {limit} bytes (FATHOM_BODY_MAX of the function)")


# ---- the wire: writing an answer ------------------------------------------------------------


class Answer:
    """`body` is bytes, or an iterator of bytes and str that is sent as it comes."""

    __slots__ = ("status", "headers", "body")

    def __init__(self, status, body, content_type=None, headers=()):
        self.status = status
        self.body = body
        self.headers = list(headers)
        if content_type and not any(str(name).lower() == "content-type" for name, _ in self.headers):
            self.headers.append(("Content-Type", content_type))


def head_of(answer, keep_alive, framing):
    if not (isinstance(answer.status, int) and 200 <= answer.status <= 599):
        raise ValueError(f"status {answer.status!r} is not a number from 200 to 599")
    lines = [f"HTTP/1.1 {answer.status} {kReasons.get(answer.status, 'Status')}"]
    for name, value in answer.headers:
        name, value = str(name), str(value)
        if name.lower() in ("content-length", "transfer-encoding", "connection"):
            continue  # framing is ours
        if not name or name.encode("utf-8").translate(None, kTokenBytes):
            raise ValueError(f"{name!r} is not the name of a header field")
        if "\r" in value or "\n" in value or "\0" in value:
            raise ValueError(f"the value of header field {name} contains a line break")
        lines.append(f"{name}: {value}")
    if framing:
        lines.append(framing)
    if not keep_alive:
        lines.append("Connection: close")
    return "\r\n".join(lines).encode("utf-8") + b"\r\n\r\n"


def send_answer(connection, head, answer, keep_alive):
    """Returns whether the connection can carry another request."""
    send = connection.socket.sendall
    bodiless = head.method == "HEAD" or answer.status in (204, 304)
    body = answer.body
    if isinstance(body, bytes):
        framing = "" if answer.status in (204, 304) else f"Content-Length: {len(body)}"
        block = head_of(answer, keep_alive, framing)
        if bodiless or not body:
            send(block)
        elif len(body) <= kReadBytes:
            send(block + body)
        else:
            send(block)
            send(body)
        return keep_alive
    if bodiless:
        send(head_of(answer, keep_alive, ""))
        close(body)
        return keep_alive
    chunked = head.is_http_1_1
    send(head_of(answer, keep_alive and chunked, "Transfer-Encoding: chunked" if chunked else ""))
    return send_stream(send, body, chunked) and keep_alive and chunked


def send_stream(send, body, chunked):
    """An error in the middle cuts the connection: the caller sees that the answer is not whole."""
    try:
        for part in body:
            part = part.encode("utf-8") if isinstance(part, str) else bytes(part)
            if part:
                send(b"%x\r\n%b\r\n" % (len(part), part) if chunked else part)
        if chunked:
            send(b"0\r\n\r\n")
        return True
    except OSError:
        raise
    except Exception:
        log_exception()
        return False
    finally:
        close(body)


def close(body):
    if hasattr(body, "close"):
        body.close()


# ---- handlers -------------------------------------------------------------------------------


class Event:
    """What a python3-http handler is given: body (bytes), headers, method, query, path."""

    __slots__ = ("body", "headers", "method", "path", "_query", "query_string")

    def __init__(self, head, body):
        self.body = body
        self.headers = head.headers
        self.method = head.method
        self.path = unquote(head.path)
        self.query_string = head.query
        self._query = None

    @property
    def query(self):
        if self._query is None:
            self._query = parse_query(self.query_string)
        return self._query


class Query(dict):
    """The first value of each name; all of them through getlist(name)."""

    def getlist(self, name):
        return list(self.all.get(name, ()))


def parse_query(text):
    query = Query()
    query.all = {}
    for pair in text.split("&"):
        if pair:
            name, _, value = pair.replace("+", " ").partition("=")
            name, value = unquote(name), unquote(value)
            query.all.setdefault(name, []).append(value)
            query.setdefault(name, value)
    return query


def unquote(text):
    if "%" not in text:
        return text
    first, *rest = text.split("%")
    out = bytearray(first, "utf-8")
    for part in rest:
        digits = part[:2]
        if len(digits) == 2 and not digits.encode("utf-8").translate(None, b"0123456789abcdefABCDEF"):
            out.append(int(digits, 16))
            out += part[2:].encode("utf-8")
        else:
            out += b"%" + part.encode("utf-8")
    return out.decode("utf-8", "replace")


class Context:
    """hostname: the name of the replica."""

    __slots__ = ("hostname",)

    def __init__(self):
        self.hostname = environment("HOSTNAME", "localhost")


def load_handler(folder):
    """Imports handler.py as function.handler, so that `from .util import x`,
    `from function.util import x` and `import util` all find a file beside it."""
    sys.path.insert(0, folder)
    if "/usr/lib/python3/dist-packages" not in sys.path:
        sys.path.append("/usr/lib/python3/dist-packages")  # libraries installed with apt
    package = type(sys)("function")
    package.__path__ = [folder]
    sys.modules["function"] = package
    module = __import__("function.handler", fromlist=["handle"])
    handle = getattr(module, "handle", None)
    if not callable(handle):
        raise SystemExit("fathom: handler.py must define handle(event, context) or handle(req)")
    return shaped(handle)


def shaped(handle):
    """Turns any of the handler signatures into (Head, body) -> Answer."""
    code = getattr(handle, "__code__", None)
    arguments = code.co_argcount - hasattr(handle, "__self__") if code else 2
    call = awaited(handle) if code and code.co_flags & 0x80 else handle  # CO_COROUTINE

    if arguments >= 2:
        context = Context()
        return lambda head, body: answer_from(call(Event(head, body), context), kHtml)

    raw = environment("RAW_BODY", "").lower() in ("true", "1")

    def with_text(head, body):
        return answer_from(call(body if raw else body.decode("utf-8", "replace")), kText)

    return with_text


def awaited(handle):
    import asyncio

    return lambda *arguments: asyncio.run(handle(*arguments))


def answer_from(result, text_type):
    if isinstance(result, Answer):
        return result
    if isinstance(result, dict):
        if not ("statusCode" in result or "body" in result or "headers" in result):
            return answer_from_tuple(result, 200, (), text_type)
        headers = result.get("headers") or ()
        return answer_from_tuple(result.get("body"), result.get("statusCode", 200), headers, text_type)
    if isinstance(result, tuple) and 1 <= len(result) <= 3:
        body, status, headers = (*result, *(200, ())[len(result) - 1 :])
        if not isinstance(status, (int, str)):  # Flask: (body, headers)
            status, headers = 200, status
        return answer_from_tuple(body, status, headers, text_type)
    return answer_from_tuple(result, 200, (), text_type)


def answer_from_tuple(body, status, headers, text_type):
    headers = headers.items() if hasattr(headers, "items") else headers or ()
    status = int(str(status).split(" ")[0])
    if body is None:
        return Answer(status, b"", text_type, headers)
    if isinstance(body, str):
        return Answer(status, body.encode("utf-8"), text_type, headers)
    if isinstance(body, (bytes, bytearray, memoryview)):
        return Answer(status, bytes(body), text_type, headers)
    if hasattr(body, "__next__"):
        return Answer(status, body, text_type, headers)
    if isinstance(body, (dict, list)):
        import json

        return Answer(status, json.dumps(body).encode("utf-8"), kJson, headers)
    return Answer(status, str(body).encode("utf-8"), text_type, headers)


# ---- serving --------------------------------------------------------------------------------


class Server:
    def __init__(self, listener, threads_max, body_max):
        self.listener = listener
        self.listener_descriptor = listener.fileno()
        self.handler = None
        self.threads_max = threads_max
        self.body_max = body_max
        self.connections = {}  # descriptor -> Connection
        self.draining = False
        self.lock = _thread.allocate_lock()
        self.threads = 1
        self.busy = 0  # threads with a request
        self.served = 0
        self.poll = select.epoll()
        # Readable from SIGTERM on and never emptied, so that it wakes every thread that waits.
        self.stop_read, self.stop_write = posix.pipe()
        listener.setblocking(False)
        self.poll.register(self.listener_descriptor, select.EPOLLIN | select.EPOLLONESHOT)
        self.poll.register(self.stop_read, select.EPOLLIN)

    def stop(self, *_):
        if not self.draining:
            self.draining = True
            posix.write(self.stop_write, b"x")

    def run(self, handler):
        """Serves until SIGTERM, then drains. For the main thread, which receives signals."""
        self.handler = handler
        self.work()
        self.drain()

    def work(self):
        """What every thread does, until stop_read is readable."""
        while True:
            descriptor = self.poll.poll(-1, 1)[0][0]
            if descriptor == self.stop_read:
                break
            self.on_event(descriptor)
        with self.lock:
            self.threads -= 1

    def on_event(self, descriptor):
        if descriptor == self.listener_descriptor:
            self.accept()
            self.poll.modify(descriptor, select.EPOLLIN | select.EPOLLONESHOT)
        else:
            self.serve_ready(descriptor)

    def accept(self):
        """Takes one caller; the others are for the other threads."""
        try:
            descriptor, _ = self.listener._accept()
        except OSError:  # another thread was faster, or no descriptor is left
            return False
        socket = _socket.socket(fileno=descriptor)
        socket.setblocking(True)
        self.connections[descriptor] = Connection(socket)
        self.poll.register(descriptor, select.EPOLLIN | select.EPOLLONESHOT)
        return True

    def serve_ready(self, descriptor):
        connection = self.connections[descriptor]
        with self.lock:
            self.busy += 1
        keep = False
        try:
            keep = self.serve_one(connection)
            while keep and not connection.is_empty():
                keep = self.serve_one(connection)
        except (Gone, OSError):
            keep = False
        finally:
            if keep:
                self.poll.modify(descriptor, select.EPOLLIN | select.EPOLLONESHOT)
            else:
                self.forget(descriptor)
            with self.lock:
                self.busy -= 1
                self.served += 1

    def forget(self, descriptor):
        self.poll.unregister(descriptor)
        self.connections.pop(descriptor).socket.close()

    def leave_one_waiting(self):
        """Before a handler runs: starts a thread when nobody is left to wait for events."""
        with self.lock:
            if self.busy < self.threads or self.threads >= self.threads_max:
                return
            self.threads += 1
        _thread.start_new_thread(self.work, ())

    def serve_one(self, connection):
        """One request and its answer. Returns whether another may follow."""
        try:
            head = connection.read_head()
            if head.path.startswith("/_/") and head.path in ("/_/ready", "/_/health"):
                body = connection.read_body(head, self.body_max)
                answer = self.own_answer(head)
            else:
                self.leave_one_waiting()
                body = connection.read_body(head, self.body_max)
                answer = self.call(head, body)
        except Refused as refused:
            return refuse(connection.socket, refused)
        keep = head.keep_alive and not self.draining
        try:
            return send_answer(connection, head, answer, keep)
        except ValueError:  # a status or header field that cannot be sent
            log_exception()
            return send_answer(connection, head, failed(), keep)

    def own_answer(self, head):
        if head.method not in ("GET", "HEAD"):
            return Answer(405, b"", None, [("Allow", "GET, HEAD")])
        if self.draining and head.path == "/_/ready":
            return Answer(503, b"draining\n", kText)
        return Answer(200, b"OK\n", kText)

    def call(self, head, body):
        try:
            return self.handler(head, body)
        except BaseException:  # sys.exit() of a handler is no reason to end the replica
            log_exception()
            return failed()

    def drain(self):
        """Answers what waits in the backlog and on open connections, until all is quiet."""
        self.threads += 1  # this one is back
        self.poll.unregister(self.stop_read)
        while self.accept():
            pass
        self.poll.unregister(self.listener_descriptor)
        self.listener.close()
        served = -1
        while self.busy or served != self.served:
            served = self.served
            events = self.poll.poll(kQuietMs / 1000, 1)
            if events:
                self.serve_ready(events[0][0])


def refuse(socket, refused):
    text = (refused.text + "\n").encode("utf-8")
    answer = Answer(refused.status, text, kText)
    socket.sendall(head_of(answer, False, f"Content-Length: {len(text)}") + text)
    linger(socket)
    return False


def failed():
    return Answer(500, b"the function failed; its log has the traceback\n", kText)


def linger(socket):
    """Reads away what a refused caller still sends, so that it sees the answer and not a reset."""
    socket.shutdown(_socket.SHUT_WR)
    socket.settimeout(kLingerSeconds)
    left = 1 << 20
    while left > 0:
        got = len(socket.recv(kReadBytes))
        if not got:
            return
        left -= got


def log_exception():
    """The interpreter's own printer: the traceback module would cost milliseconds to import."""
    sys.excepthook(*sys.exc_info())
    sys.stderr.flush()


# ---- start ----------------------------------------------------------------------------------


def environment(name, default):
    value = posix.environ.get(name.encode())
    return default if value is None else value.decode("utf-8", "replace")


def number(name, default):
    text = environment(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit()):
        raise SystemExit(f"fathom: {name}={text!r} must be a number, 0 or more")
    return int(text) or default


def inherited_listener():
    descriptor = number("FATHOM_LISTEN_FD", 3 if environment("LISTEN_FDS", "") else 0)
    if descriptor:
        try:
            posix.set_inheritable(descriptor, False)  # a child must not keep the socket open
            return _socket.socket(fileno=descriptor)
        except OSError as error:
            raise SystemExit(f"fathom: FATHOM_LISTEN_FD={descriptor} is no socket: {error}")
    path = environment("FATHOM_LISTEN", "")
    if not path:
        raise SystemExit(
            "fathom: FATHOM_LISTEN_FD (an inherited listening socket) or FATHOM_LISTEN (a path) must be set"
        )
    listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen(1024)
    return listener


def main():
    sys.stdout.reconfigure(line_buffering=True)
    listener = inherited_listener()
    threads_max = number("FATHOM_CONCURRENCY", kThreadsDefault)
    body_max = number("FATHOM_BODY_MAX", kBodyBytesMax)
    server = Server(listener, threads_max, body_max)
    _signal.signal(_signal.SIGTERM, server.stop)
    server.run(load_handler(posix.getcwd()))
    leave()


def leave():
    """Runs what the function registered with atexit, and does not wait for its threads."""
    import atexit

    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    posix._exit(0)


def compile_ahead(folder):
    """Writes __pycache__ beside this file, so that a start does not compile it again."""
    import py_compile

    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(folder + "/_fathom.py", invalidation_mode=mode, doraise=True)
    return 0
