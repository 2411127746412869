"""Bodies of any size stream through at constant memory. FATHOM_BODY_MIB (1024) says how big."""

import http.client
import os

import harness

BODY_BYTES = int(os.environ.get("FATHOM_BODY_MIB", 1024)) << 20
PIECE = b"x" * (1 << 20)
RSS_GROWTH_KIB_MAX = 8 * 1024


class Bodies(harness.FathomCase):
    functions = ["stream", "echo"]

    def setUp(self):
        # Warm: buffers of connections and the pool are there before we measure.
        for _ in range(3):
            self.fathom.call("stream", PIECE)
        self.before_kib = harness.rss_kib(self.fathom.process.pid)
        self.highest_kib = self.before_kib

    def look(self):
        self.highest_kib = max(self.highest_kib, harness.rss_kib(self.fathom.process.pid))

    def assert_level(self):
        print(f"         {BODY_BYTES >> 20} MiB: {self.before_kib} KiB before, {self.highest_kib} KiB at most")
        # A sanitized build remembers freed memory and grows for other reasons.
        if "asan" not in harness.BUILD.name and "tsan" not in harness.BUILD.name:
            self.assertLess(self.highest_kib, self.before_kib + RSS_GROWTH_KIB_MAX)

    def connection(self):
        connection = http.client.HTTPConnection(*self.fathom.address, timeout=5 * harness.PATIENCE_SECONDS)
        self.addCleanup(connection.close)
        return connection

    def pieces(self):
        for number in range(BODY_BYTES // len(PIECE)):
            if number % 16 == 0:
                self.look()
            yield PIECE

    def test_a_gib_up(self):
        connection = self.connection()
        connection.request("POST", "/function/stream", self.pieces(), {"Content-Length": str(BODY_BYTES)})
        self.assertEqual(connection.getresponse().read(), str(BODY_BYTES).encode())
        self.assert_level()

    def test_a_gib_up_in_chunks(self):
        connection = self.connection()
        connection.request("POST", "/function/stream", self.pieces(), encode_chunked=True)
        self.assertEqual(connection.getresponse().read(), str(BODY_BYTES).encode())
        self.assert_level()

    def test_a_gib_down(self):
        connection = self.connection()
        connection.request("GET", f"/function/stream/{BODY_BYTES}")
        self.assertEqual(self.drain(connection.getresponse()), BODY_BYTES)
        self.assert_level()

    def test_a_caller_that_stops_reading_holds_up_only_itself(self):
        connection = self.connection()
        connection.request("GET", f"/function/stream/{BODY_BYTES}")
        response = connection.getresponse()
        response.read(1)
        for _ in range(10):
            self.assertEqual(self.fathom.call("echo", b"next").body, b"next")
            self.look()
        self.assert_level()

    def test_what_comes_back_while_it_is_sent_is_the_same(self):
        with self.fathom.connect() as caller:
            caller.sendall(b"POST /function/stream/back HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            got = b""
            for number in range(3):
                # Piece by piece: the next is sent only after the last came back.
                piece = b"piece %d;" % number
                caller.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
                while piece not in got:
                    more = caller.recv(65536)
                    self.assertTrue(more, got)
                    got += more
            caller.sendall(b"0\r\n\r\n")
            while not got.endswith(b"0\r\n\r\n"):
                got += caller.recv(65536)

    def drain(self, response) -> int:
        total = 0
        while piece := response.read(len(PIECE)):
            total += len(piece)
            if total % (16 << 20) < len(PIECE):
                self.look()
        return total
