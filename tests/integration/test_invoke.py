"""What callers and functions see of a call (the headers and paths of the OpenFaaS gateway)."""

import http.client
import re
import threading
import time

import harness

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


class Invoke(harness.FathomCase):
    functions = ["echo", "env", "report"]

    def report(self, path="", method="POST", body=b"", headers=None):
        answer = self.fathom.call("report", body, method, path, headers)
        self.assertEqual(answer.status, 200, answer.text)
        return answer, answer.json

    def test_answers_carry_a_call_id_and_a_start_time(self):
        before_ns = time.time_ns()
        answer = self.fathom.call("echo", b"hello")
        self.assertEqual(answer.body, b"hello")
        self.assertRegex(answer.headers["X-Call-Id"], f"^{UUID}$")
        self.assertGreaterEqual(int(answer.headers["X-Start-Time"]), before_ns - 10**9)
        self.assertRegex(answer.headers["X-Duration-Seconds"], r"^\d+\.\d{6}$")

    def test_the_caller_s_own_call_id_is_kept(self):
        answer, seen = self.report(headers={"X-Call-Id": "mine"})
        self.assertEqual(seen["headers"]["X-Call-Id"], "mine")
        self.assertEqual(answer.headers["X-Call-Id"], "mine")

    def test_the_function_sees_who_called(self):
        answer, seen = self.report(headers={"Host": "functions.example", "User-Agent": "tester/1"})
        headers = {name.title(): value for name, value in seen["headers"].items()}
        self.assertEqual(headers["X-Call-Id"], answer.headers["X-Call-Id"])
        self.assertEqual(headers["X-Forwarded-Host"], "functions.example")
        self.assertRegex(headers["X-Forwarded-For"], r"^127\.0\.0\.1:\d+$")
        self.assertEqual(headers["User-Agent"], "tester/1")
        self.assertTrue(headers["X-Start-Time"].isdigit())

    def test_forwarded_fields_of_the_caller_are_left_alone(self):
        _, seen = self.report(headers={"X-Forwarded-For": "10.0.0.1", "X-Forwarded-Host": "first.example"})
        self.assertEqual(seen["headers"]["X-Forwarded-For"], "10.0.0.1")
        self.assertEqual(seen["headers"]["X-Forwarded-Host"], "first.example")

    def test_hop_by_hop_fields_stay_behind(self):
        _, seen = self.report(headers={"Keep-Alive": "5", "Te": "gzip", "Proxy-Authorization": "x", "X-Mine": "y"})
        names = {name.lower() for name in seen["headers"]}
        self.assertFalse(names & {"keep-alive", "te", "proxy-authorization", "upgrade", "trailer"})
        self.assertIn("x-mine", names)

    def test_authorization_reaches_the_function(self):
        _, seen = self.report(headers={"Authorization": "Bearer token"})
        self.assertEqual(seen["headers"]["Authorization"], "Bearer token")

    def test_path_and_query_arrive_as_they_were_sent(self):
        for sent, path in [("", "/"), ("/", "/"), ("/a/b/", "/a/b/"), ("//a/../b", "//a/../b")]:
            with self.subTest(sent=sent):
                self.assertEqual(self.report(sent)[1]["path"], path)
        self.assertEqual(self.report("/x?a=1&b=two")[1]["query"], {"a": "1", "b": "two"})
        self.assertIn(self.report("/a%2Fb")[1]["path"], ("/a%2Fb", "/a/b"))

    def test_a_name_with_its_namespace_is_the_same_function(self):
        self.assertEqual(self.fathom.call("echo.openfaas-fn", b"x").body, b"x")
        self.assertEqual(self.fathom.call("echo.elsewhere", b"x").status, 404)

    def test_every_method_arrives(self):
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            self.assertEqual(self.report(method=method)[1]["method"], method)
        head = self.fathom.call("report", method="HEAD")
        self.assertEqual((head.status, head.body), (200, b""))

    def test_other_methods_are_405(self):
        for method in ("TRACE", "PROPFIND"):
            self.assertEqual(self.fathom.call("report", method=method).status, 405)

    def test_the_status_and_headers_of_the_function_come_back(self):
        answer = self.fathom.call("report", path="/?status=418")
        self.assertEqual(answer.status, 418)
        self.assertEqual(answer.headers["X-Own"], "kept")
        self.assertEqual(answer.headers["Content-Type"], "application/json")

    def test_an_unknown_function_is_404_and_named(self):
        answer = self.fathom.call("nobody")
        self.assertEqual(answer.status, 404)
        self.assertIn("nobody", answer.text)
        self.assertTrue(answer.headers["Content-Type"].startswith("text/plain"))

    def test_the_environment_is_the_function_s_and_nothing_of_the_host_s(self):
        lines = dict(line.split("=", 1) for line in self.fathom.call("env").text.splitlines() if "=" in line)
        self.assertEqual(lines["colour"], "teal")
        self.assertEqual(lines["count"], "3")
        self.assertEqual(lines["OPENFAAS_NAME"], "env")
        self.assertEqual(lines["OPENFAAS_NAMESPACE"], "openfaas-fn")
        self.assertEqual(lines["Http_Method"], "POST")
        self.assertNotIn("FATHOM_TEST_MARK", lines)

    def test_ten_callers_get_their_own_answers(self):
        answers = {}

        def caller(number):
            sent = f"caller {number} ".encode() * 1000
            answers[number] = self.fathom.call("echo", sent).body == sent

        threads = [threading.Thread(target=caller, args=(number,)) for number in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(answers, {number: True for number in range(10)})

    def test_one_connection_serves_call_after_call(self):
        connection = http.client.HTTPConnection(*self.fathom.address, timeout=harness.PATIENCE_SECONDS)
        ids = set()
        for number in range(20):
            connection.request("POST", "/function/report", b"%d" % number)
            response = connection.getresponse()
            response.read()
            ids.add(response.headers["X-Call-Id"])
        connection.close()
        self.assertEqual(len(ids), 20)

    def test_calls_are_counted_by_function_and_status(self):
        self.fathom.call("report", path="/?status=404")
        pattern = (
            r'gateway_function_invocation_total'
            r'\{function_name="report\.openfaas-fn",code="404"\} [1-9]'
        )
        harness.eventually(lambda: re.search(pattern, self.fathom.metrics()))


class LimitCase(harness.FathomCase):
    def wait_in_flight(self):
        harness.eventually(lambda: "fathom_calls_in_flight 1" in self.fathom.metrics())


class Limits(LimitCase):
    functions = ["single"]

    def test_a_call_beyond_the_limit_is_429_with_retry_after(self):
        with self.fathom.connect() as busy:
            busy.sendall(b"POST /function/single HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab")
            self.wait_in_flight()  # or the second call might overtake it on another core
            refused = self.fathom.call("single", b"second")
            self.assertEqual(refused.status, 429)
            self.assertGreaterEqual(int(refused.headers["Retry-After"]), 1)
            self.assertIn("single", refused.text)
            busy.sendall(b"cd")
            self.assertTrue(busy.recv(65536).startswith(b"HTTP/1.1 200 "))
        self.assertEqual(self.fathom.call("single", b"third").status, 200)


class GlobalLimit(LimitCase):
    functions = ["report"]
    arguments = ["--in-flight-max", "1"]

    def test_a_call_beyond_the_global_limit_is_503_with_retry_after(self):
        with self.fathom.connect() as busy:
            busy.sendall(b"POST /function/report HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab")
            self.wait_in_flight()
            refused = self.fathom.call("report", b"second")
            self.assertEqual(refused.status, 503)
            self.assertGreaterEqual(int(refused.headers["Retry-After"]), 1)


class Death(harness.FathomCase):
    functions = ["exits"]

    def test_a_replica_that_dies_in_mid_call_fails_that_call_and_comes_back(self):
        first = self.fathom.call("exits").text
        died = self.fathom.call("exits", path="/die")
        self.assertIn(died.status, (500, 502))
        self.assertIn("exits", died.text)
        again = harness.eventually(lambda: self.fathom.call("exits"), lambda answer: answer.status == 200)
        self.assertTrue(again.text.isdigit())
        self.assertTrue(first.isdigit())


class Events(harness.FathomCase):
    functions = ["events"]

    def test_server_sent_events_arrive_one_by_one(self):
        connection = http.client.HTTPConnection(*self.fathom.address, timeout=harness.PATIENCE_SECONDS)
        connection.request("GET", "/function/events/stream", headers={"Accept": "text/event-stream"})
        response = connection.getresponse()
        self.assertEqual(response.headers["Content-Type"], "text/event-stream")
        # The second event exists only after we have read the first and asked for it.
        self.assertEqual(response.readline(), b"data: 1\n")
        response.readline()
        for number in (2, 3):
            harness.eventually(lambda: self.fathom.call("events", path="/next").status, lambda code: code == 200)
            self.assertEqual(response.readline(), b"data: %d\n" % number)
            response.readline()
        self.assertEqual(response.read(), b"")
        connection.close()
