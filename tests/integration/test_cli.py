"""The commands a person types, right and wrong: columns, messages, exit codes."""

import shutil
import tempfile
from pathlib import Path

import harness


class Commands(harness.FathomCase):
    functions = ["echo", "report"]

    def ok(self, *arguments, **more) -> str:
        done = self.fathom.cli(*arguments, **more)
        self.assertEqual(done.code, 0, done.output)
        return done.output

    def test_list_has_the_columns_of_faas_cli(self):
        lines = self.ok("list").splitlines()
        self.assertEqual(lines[0].split(), ["Function", "Invocations", "Replicas"])
        row = next(line for line in lines if line.startswith("echo "))
        self.assertEqual(row.split("\t")[0], "echo".ljust(30))
        self.assertIn("echo", self.ok("list", "--quiet").split())
        self.assertIn("Image", self.ok("list", "--verbose").splitlines()[0])

    def test_describe_names_what_matters(self):
        text = self.ok("describe", "report")
        for word in ("report", "Ready", "Replicas", "Image", "Invocations", "/function/report"):
            self.assertIn(word, text)

    def test_invoke_sends_standard_input(self):
        self.assertEqual(self.ok("invoke", "echo", stdin=b"from a pipe"), "from a pipe")

    def test_invoke_sends_headers_query_and_method(self):
        text = self.ok("invoke", "report", "--method", "PUT", "--query", "a=1", "-H", "X-Mine: yes", stdin=b"b")
        for word in ('"PUT"', '"a": "1"', '"yes"'):
            self.assertIn(word, text)

    def test_invoke_of_a_failing_function_fails_with_its_status(self):
        done = self.fathom.cli("invoke", "report", "--query", "status=500", stdin=b"")
        self.assertSays(done, "500")

    def test_logs_show_what_the_function_wrote(self):
        self.fathom.call("report", path="/find-me")
        harness.eventually(
            lambda: self.fathom.cli("logs", "report", "--tail=false").output, lambda text: "/find-me" in text
        )

    def test_version_and_doctor_answer(self):
        self.assertTrue(self.ok("version"))
        self.assertTrue(self.ok("doctor"))

    def test_remove_takes_it_away(self):
        self.ok("deploy", "-f", harness.FUNCTIONS / "stack.yml", "--filter", "env")
        self.fathom.wait_available("env")
        self.ok("remove", "env")
        harness.eventually(lambda: self.fathom.status("env"), lambda status: status is None)

    def test_deploying_twice_updates(self):
        stack = harness.FUNCTIONS / "stack.yml"
        self.ok("deploy", "-f", stack, "--regex", "^echo$", "--label", "round=two")
        self.assertEqual(self.fathom.status("echo")["labels"], {"round": "two"})
        self.fathom.wait_available("echo")


class BadInput(harness.FathomCase):
    """Each mistake has a message of its own, and leaves nothing half-done."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.fathom.login()

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="fathom-stack-"))
        self.addCleanup(shutil.rmtree, self.folder)
        (self.folder / "handler").mkdir()
        (self.folder / "handler/handler.py").write_text("def handle(event, context):\n    return 'ok'\n")

    def tearDown(self):
        names = [function["name"] for function in self.fathom.request("GET", "/system/functions").json]
        self.assertEqual(names, [], "something half-done stayed behind")

    def deploy(self, text, *arguments):
        stack = self.folder / "stack.yml"
        stack.write_text("provider:\n  name: openfaas\nfunctions:\n" + text)
        return self.fathom.cli("deploy", "-f", stack, *arguments)

    def test_a_wrong_type_names_file_line_and_field(self):
        done = self.deploy("  fine:\n    lang: python3\n    handler: ./handler\n    labels: [a, b]\n")
        self.assertSays(done, "stack.yml:7", "labels")

    def test_broken_yaml_names_file_and_line(self):
        done = self.deploy("  fine:\n    lang: [python3\n")
        self.assertSays(done, "stack.yml:")

    def test_a_bad_name_is_refused_with_the_rule(self):
        done = self.deploy("  Bad_Name:\n    lang: python3\n    handler: ./handler\n")
        self.assertSays(done, "Bad_Name", "stack.yml:4", "lower-case")

    def test_a_missing_handler_folder_is_named(self):
        self.assertSays(self.deploy("  fine:\n    lang: python3\n    handler: ./nowhere\n"), "nowhere")

    def test_a_missing_handler_file_is_named(self):
        (self.folder / "handler/handler.py").unlink()
        self.assertSays(self.deploy("  fine:\n    lang: python3\n    handler: ./handler\n"), "handler.py")

    def test_an_unknown_language_lists_the_known_ones(self):
        done = self.deploy("  fine:\n    lang: cobol\n    handler: ./handler\n")
        self.assertSays(done, "cobol", "python3", "node", "cpp")

    def test_neither_language_nor_process_says_what_to_write(self):
        self.assertSays(self.deploy("  fine:\n    handler: ./handler\n"), "lang", "fprocess")

    def test_a_stack_that_is_not_there_is_named(self):
        self.assertSays(self.fathom.cli("deploy", "-f", self.folder / "missing.yml"), "missing.yml")

    def test_a_mistake_in_the_second_function_deploys_neither(self):
        done = self.deploy("  fine:\n    lang: python3\n    handler: ./handler\n"
                           "  other:\n    lang: cobol\n    handler: ./handler\n")
        self.assertSays(done, "cobol")

    def test_an_unknown_field_is_a_warning_and_strict_refuses_it(self):
        text = "  fine:\n    lang: python3\n    handler: ./handler\n    enviroment: {a: b}\n"
        self.assertSays(self.deploy(text, "--strict"), "enviroment", "environment", "stack.yml:7")

    def test_an_unknown_function_is_named(self):
        for verb in ("describe", "remove", "invoke", "logs"):
            with self.subTest(verb=verb):
                self.assertSays(self.fathom.cli(verb, "nobody"), "nobody")

    def test_an_unreachable_gateway_is_named(self):
        url = f"http://127.0.0.1:{harness.free_port()}"
        for verb in (["list"], ["invoke", "fine"], ["deploy", "-f", harness.FUNCTIONS / "stack.yml"]):
            with self.subTest(verb=verb):
                self.assertSays(self.fathom.cli(*verb, "-g", url), url.removeprefix("http://"))

    def test_a_wrong_password_is_refused_and_not_saved(self):
        done = self.fathom.cli("login", "--password-stdin", stdin=b"guess",
                               environment={"OPENFAAS_CONFIG": str(self.folder / "config")})
        self.assertSays(done, "username or password")
        self.assertFalse((self.folder / "config/config.yml").exists())

    def test_without_a_login_it_says_to_log_in(self):
        done = self.fathom.cli("list", environment={"OPENFAAS_CONFIG": str(self.folder / "config")})
        self.assertSays(done, "login")

    def test_unknown_verbs_and_flags_are_named(self):
        self.assertSays(self.fathom.cli("dploy"), "dploy")
        self.assertSays(self.fathom.cli("list", "--sorted"), "--sorted")


class Broken(harness.FathomCase):
    def test_a_deploy_that_never_becomes_ready_says_why(self):
        self.fathom.login()
        done = self.fathom.cli("deploy", "-f", harness.FUNCTIONS / "stack.yml", "--filter", "broken",
                               "--timeout", "10s")
        self.assertSays(done, "broken", "this handler is broken on purpose")
