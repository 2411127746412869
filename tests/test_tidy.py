"""The rules of tests/tidy.py on small trees: each finds what it is for, and passes what is right."""

import subprocess
import tempfile
import unittest
from pathlib import Path

import tidy

PLAN = "| `top/` | x | x |\n| `low/` | x | x |\n| `rt/` | x | x |\n"


class Tidy(unittest.TestCase):
    def tree(self, **files) -> tidy.Tree:
        """A git tree of files; keys are paths with __ for / and _dot_ for the last dot."""
        folder = tempfile.TemporaryDirectory(prefix="fathom-tidy-")
        self.addCleanup(folder.cleanup)
        root = Path(folder.name)
        subprocess.run(["git", "init", "--quiet", root], check=True)
        for key, text in files.items():
            path = root / key.replace("_dot_", ".").replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tidy.Tree(root)

    def modules(self, top="fathom::low", low="fathom::rt", **files) -> tidy.Tree:
        return self.tree(
            docs__architecture_dot_md=PLAN,
            src__top__CMakeLists_dot_txt=f"fathom_module(top SOURCES top.cpp DEPENDS {top})",
            src__low__CMakeLists_dot_txt=f"fathom_module(low SOURCES low.cpp DEPENDS {low})",
            src__rt__CMakeLists_dot_txt="fathom_module(rt SOURCES rt.cpp)",
            **files,
        )

    def assertFinds(self, rule, tree, *words):
        complaints = list(rule(tree))
        self.assertTrue(complaints, "nothing was found")
        for word in words:
            self.assertIn(word, " ".join(complaints))

    def assertPasses(self, rule, tree):
        self.assertEqual(list(rule(tree)), [])

    def test_a_module_may_depend_downwards(self):
        self.assertPasses(tidy.floor_plan, self.modules())

    def test_an_upward_edge_is_found(self):
        self.assertFinds(tidy.floor_plan, self.modules(low="fathom::top"), "low depends on top")

    def test_an_unknown_module_is_found(self):
        self.assertFinds(tidy.floor_plan, self.modules(low="fathom::utils"), "fathom::utils")

    def test_an_include_that_depends_does_not_reach_is_found(self):
        tree = self.modules(low="", src__low__low_dot_cpp='#include "rt/rt.h"\n')
        self.assertFinds(tidy.includes_follow_depends, tree, "src/low/low.cpp:1", "rt/rt.h")
        tree = self.modules(src__top__top_dot_cpp='#include "rt/rt.h"\n')
        self.assertPasses(tidy.includes_follow_depends, tree)

    def test_a_private_header_is_refused_to_others(self):
        files = {"src__low__low_dot_h": "// low\n#include \"low/words.h\"\n", "src__low__words_dot_h": "", "src__low__inside_dot_h": ""}
        tree = self.modules(**files, src__top__top_dot_cpp='#include "low/inside.h"\n#include "low/words.h"\n')
        self.assertFinds(tidy.no_private_includes, tree, "top.cpp:1", "low/inside.h is private")
        self.assertEqual(len(list(tidy.no_private_includes(tree))), 1)

    def test_banned_names_are_found_outside_rt_only(self):
        for code in ("std::mutex m;", "std::thread t;", "auto n = std::chrono::steady_clock::now();",
                     'getenv("HOME");', "int x = rand();", "t.detach();"):
            with self.subTest(code=code):
                self.assertFinds(tidy.no_banned_names, self.modules(src__low__low_dot_cpp=code), "low.cpp:1")
                self.assertPasses(tidy.no_banned_names, self.modules(src__rt__rt_dot_cpp=code))

    def test_comments_and_literals_are_no_code(self):
        code = '// std::mutex\nauto s = "std::thread"; /* rand() */ auto n = 1\'000; auto t = R"(getenv("A"))";\n'
        self.assertPasses(tidy.no_banned_names, self.modules(src__low__low_dot_cpp=code))

    def test_names_that_only_look_banned_pass(self):
        code = "environment.getenv(x); operand(3); my_rand(); low::rand_of(2);\n"
        self.assertPasses(tidy.no_banned_names, self.modules(src__low__low_dot_cpp=code))

    def test_a_dead_file_is_found(self):
        tree = self.modules(src__low__low_dot_cpp="", src__low__old_dot_cpp="", src__low__unused_dot_h="")
        self.assertFinds(tidy.no_dead_files, tree, "src/low/old.cpp", "src/low/unused.h")
        self.assertNotIn("src/low/low.cpp", " ".join(tidy.no_dead_files(tree)))

    def test_stray_marks_are_found(self):
        mark = "FIX" + "ME"
        self.assertFinds(tidy.no_stray_marks, self.tree(src__a_dot_cpp=f"int x;  // {mark} later\n"), "a.cpp:1")
        self.assertFinds(tidy.no_stray_marks, self.tree(src__a_dot_cpp="// TO" "DO later\n"), "a.cpp:1")
        self.assertPasses(tidy.no_stray_marks, self.tree(src__a_dot_cpp="// TO" "DO(perf): faster, when slow\n"))

    def test_a_long_file_is_found(self):
        self.assertFinds(tidy.no_long_files, self.tree(src__a_dot_cpp="\n" * 801), "801 lines")

    def test_a_machine_path_is_found(self):
        path = "/" + "work/someone/tree"
        self.assertFinds(tidy.no_machine_paths, self.tree(README_dot_md=f"see {path}\n"), "README.md:1")
        self.assertPasses(tidy.no_machine_paths, self.tree(README_dot_md="see /home/app/function and network/x\n"))

    def test_an_unformatted_file_is_found(self):
        self.assertFinds(tidy.is_formatted, self.tree(src__a_dot_cpp="int   x ;\n"), "a.cpp")

    def test_a_link_that_leads_nowhere_is_found(self):
        tree = self.tree(README_dot_md="[x](docs/missing.md) and `src/gone.cpp`\n")
        self.assertFinds(tidy.links_lead_somewhere, tree, "docs/missing.md", "src/gone.cpp")


if __name__ == "__main__":
    unittest.main()
