"""The management API, as clients of OpenFaaS use it."""

import harness


class Rest(harness.FathomCase):
    functions = ["echo"]

    def deployment(self, name, **changes):
        image = self.fathom.status("echo")["image"]
        return {"service": name, "image": image, "envProcess": "cat"} | changes

    def test_asks_for_the_password(self):
        for target in ("/system/functions", "/system/function/echo", "/system/info", "/system/namespaces"):
            answer = self.fathom.request("GET", target, auth=False)
            self.assertEqual(answer.status, 401, target)
            self.assertEqual(answer.headers["WWW-Authenticate"], 'Basic realm="Restricted"')

    def test_health_and_metrics_need_no_password(self):
        self.assertEqual(self.fathom.request("GET", "/healthz", auth=False).status, 200)
        self.assertIn("gateway_function_invocation_total", self.fathom.metrics())

    def test_lists_what_is_deployed(self):
        answer = self.fathom.request("GET", "/system/functions")
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.headers["Content-Type"], "application/json")
        echo = next(function for function in answer.json if function["name"] == "echo")
        self.assertEqual(echo["namespace"], "openfaas-fn")
        self.assertEqual(echo["replicas"], 1)
        self.assertTrue(echo["image"].startswith("fathom.local/echo:"))
        self.assertRegex(echo["createdAt"], r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d")

    def test_counts_calls_in_the_list_only(self):
        self.fathom.call("echo", b"once")

        def count():
            functions = self.fathom.request("GET", "/system/functions").json
            return next(f for f in functions if f["name"] == "echo").get("invocationCount", 0)

        harness.eventually(count)
        self.assertNotIn("invocationCount", self.fathom.status("echo"))

    def test_status_of_an_unknown_function_is_an_empty_404(self):
        answer = self.fathom.request("GET", "/system/function/nobody")
        self.assertEqual((answer.status, answer.body), (404, b""))

    def test_an_update_of_a_missing_function_is_404_and_creates_nothing(self):
        answer = self.fathom.request("PUT", "/system/functions", self.deployment("fresh"))
        self.assertEqual(answer.status, 404)
        self.assertIn("fresh", answer.text)
        self.assertIsNone(self.fathom.status("fresh"))

    def test_creates_updates_and_removes(self):
        created = self.fathom.request("POST", "/system/functions", self.deployment("again"))
        self.assertIn(created.status, (200, 202), created.text)
        self.fathom.wait_available("again")
        self.assertEqual(self.fathom.call("again", b"x").body, b"x")

        twice = self.fathom.request("POST", "/system/functions", self.deployment("again"))
        self.assertGreaterEqual(twice.status, 400)

        changed = self.deployment("again", envProcess="wc -c", labels={"team": "blue"})
        self.assertIn(self.fathom.request("PUT", "/system/functions", changed).status, (200, 202))
        harness.eventually(lambda: self.fathom.call("again", b"four").text.strip(), lambda text: text == "4")
        self.assertEqual(self.fathom.status("again")["labels"], {"team": "blue"})

        removed = self.fathom.request("DELETE", "/system/functions", {"functionName": "again"})
        self.assertIn(removed.status, (200, 202))
        self.assertEqual(self.fathom.call("again").status, 404)
        gone = self.fathom.request("DELETE", "/system/functions", {"functionName": "again"})
        self.assertEqual(gone.status, 404)

    def test_scales_to_three_and_to_zero_and_back(self):
        scale = "/system/scale-function/echo"
        self.assertIn(self.fathom.request("POST", scale, {"serviceName": "echo", "replicas": 3}).status, (200, 202))
        self.fathom.wait_available("echo", 3)
        self.assertIn(self.fathom.request("POST", scale, {"serviceName": "echo", "replicas": 0}).status, (200, 202))
        harness.eventually(lambda: self.fathom.status("echo"), lambda status: "availableReplicas" not in status)
        self.assertEqual(self.fathom.call("echo", b"awake").body, b"awake")
        self.fathom.request("POST", scale, {"serviceName": "echo", "replicas": 1})
        self.fathom.wait_available("echo")

    def test_scaling_an_unknown_function_is_404(self):
        answer = self.fathom.request("POST", "/system/scale-function/nobody", {"replicas": 1})
        self.assertEqual(answer.status, 404)

    def test_says_who_it_is(self):
        info = self.fathom.request("GET", "/system/info").json
        for version in (info["version"], info["provider"]["version"]):
            self.assertTrue(version["release"])
            self.assertTrue(version["sha"])
        self.assertTrue(info["provider"]["provider"])
        self.assertTrue(info["provider"]["orchestration"])

    def test_refuses_bad_deployments_and_names_the_field(self):
        cases = [
            ({"service": "Bad_Name"}, "name"),
            ({"service": "a" * 64}, "63"),
            ({"service": ""}, "name"),
            ({"image": ""}, "image"),
            ({"image": "fathom.local/nobody:000000000000"}, "nobody"),
            ({"limits": {"memory": "much"}}, "memory"),
            ({"labels": {"team": "no spaces allowed"}}, "team"),
            ({"envVars": {"1=2": "x"}}, "1=2"),
            ({"secrets": ["api-key"]}, "api-key"),
            ({"image": "ghcr.io/a/b:latest"}, "container images"),
        ]
        for changes, word in cases:
            with self.subTest(changes=changes):
                answer = self.fathom.request("POST", "/system/functions", self.deployment("bad", **changes))
                self.assertIn(answer.status, (400, 404), answer.text)
                self.assertIn(word, answer.text)
                self.assertIsNone(self.fathom.status("bad"))

    def test_refuses_what_is_not_json(self):
        for body in (b"{", b"[]", b'{"service": 3, "image": []}'):
            answer = self.fathom.request("POST", "/system/functions", body)
            self.assertEqual(answer.status, 400, body)

    def test_a_wrong_method_is_405(self):
        self.assertEqual(self.fathom.request("PATCH", "/system/functions").status, 405)
        self.assertEqual(self.fathom.request("GET", "/system/scale-function/echo").status, 405)

    def test_logs_are_lines_of_json(self):
        answer = self.fathom.request("GET", "/system/logs?name=nobody")
        self.assertEqual(answer.status, 404)
