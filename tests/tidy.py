"""Style that matters is a test: the rules of CONTRIBUTING.md that a machine can check.

    python3 tests/tidy.py          every rule over the tree; exits 1 when one is broken
    python3 tests/tidy.py --fix    formats the sources first

A rule is a function from a Tree to complaints, each `file:line: what is wrong, and what is right`.
"""

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

SOURCE_SUFFIXES = {".cpp", ".h"}
SOURCE_FOLDERS = ("src", "apps", "sdk", "store", "sim", "tests", "fuzz", "benchmarks")
FILE_LINES_MAX = 800

# What only rt may touch, and what to use instead.
BANNED = {
    r"std::(recursive_|shared_|timed_)?mutex\b": "objects belong to one core (rt); send values instead",
    r"std::condition_variable\b": "wait with rt (rt/wait.h)",
    r"std::j?thread\b": "rt owns the threads; blocking work goes to rt's BlockingPool",
    r"std::this_thread::": "wait with Clock::sleep_for through rt",
    r"std::async\b": "spawn in a TaskGroup",
    r"\b(steady|system|high_resolution)_clock::now\b": "take a Clock (core/ports.h)",
    r"(?<![\w.>:])(::|std::)?(secure_)?getenv\s*\(": "take a typed config; apps/ reads the environment",
    r"(?<![\w.>:])(::|std::)?s?rand\s*\(": "take a Random (core/ports.h)",
    r"std::random_device\b": "take a Random (core/ports.h)",
    r"\.detach\(\)|\bdetached\b": "every task has an owner: spawn it in a TaskGroup",
}
# Folders below src/ in which a banned name is the point.
BANNED_NOT_IN = {"rt", "core/ports.cpp"}


@dataclass
class Module:
    name: str
    libraries: list[str]
    depends: list[str]


@dataclass
class Tree:
    root: Path
    _texts: dict[Path, str] = field(default_factory=dict)

    def text(self, path: Path) -> str:
        if path not in self._texts:
            self._texts[path] = path.read_text(errors="replace")
        return self._texts[path]

    def code(self, path: Path) -> str:
        """The text with comments and literals blanked, line numbers kept."""
        return blank_comments_and_literals(self.text(path))

    @cached_property
    def files(self) -> list[Path]:
        """What git tracks or would track, sorted."""
        listing = subprocess.run(
            ["git", "-C", self.root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            capture_output=True, check=True, text=True,
        ).stdout
        paths = (self.root / name for name in sorted(set(listing.split("\0"))) if name)
        return [path for path in paths if path.is_file() and not path.is_symlink()]

    @cached_property
    def sources(self) -> list[Path]:
        return [
            path for path in self.files
            if path.suffix in SOURCE_SUFFIXES and self.name(path).split("/")[0] in SOURCE_FOLDERS
        ]

    def name(self, path: Path) -> str:
        return str(path.relative_to(self.root))

    @cached_property
    def modules(self) -> dict[str, Module]:
        found = [read_module(path) for path in sorted((self.root / "src").glob("*/CMakeLists.txt"))]
        modules = {module.name: module for module in found if module}
        folders = {library: module.name for module in modules.values() for library in module.libraries}
        for module in modules.values():
            below = [folders.get(library, library) for library in module.depends]
            module.depends = sorted({name for name in below if name != module.name})
        return modules

    def module_of(self, path: Path) -> str | None:
        parts = path.relative_to(self.root).parts
        return parts[1] if len(parts) > 2 and parts[0] == "src" else None

    def transitive(self, name: str) -> set[str]:
        reached, todo = set(), [name]
        while todo:
            module = self.modules.get(todo.pop())
            for below in module.depends if module else []:
                if below not in reached:
                    reached.add(below)
                    todo.append(below)
        return reached


def read_module(path: Path) -> Module | None:
    """One folder is one module, even when it makes several libraries."""
    text = re.sub(r"#.*", "", path.read_text())
    calls = re.findall(r"fathom_module\(\s*(\w+)([^)]*)\)", text)
    if not calls:
        return None
    libraries = [name for name, _ in calls]
    depends = [name for _, rest in calls for name in re.findall(r"\bfathom::(\w+)", rest)]
    return Module(path.parent.name, libraries, depends)


def blank_comments_and_literals(text: str) -> str:
    pattern = re.compile(
        r'//[^\n]*|/\*.*?\*/|R"([^(\s]*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.DOTALL
    )

    def blank(match: re.Match) -> str:
        return re.sub(r"[^\n]", " ", match[0])

    # Digit separators are no character literals.
    return pattern.sub(blank, re.sub(r"(?<=[0-9a-fA-F])'(?=[0-9a-fA-F])", " ", text))


def includes(tree: Tree, path: Path):
    """(line number, "module/rest.h") of every quoted include."""
    for number, line in enumerate(tree.text(path).splitlines(), 1):
        match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
        if match:
            yield number, match[1]


# ------------------------------------------------------------------------------------------ rules


def floor_plan(tree: Tree):
    """Modules depend downwards only, in the order of the floor plan in docs/architecture.md"""
    order = read_floor_plan(tree)
    if not order:
        yield "docs/architecture.md: there is no floor plan: a table whose rows start with | `module/`"
        return
    for module in tree.modules.values():
        where = f"src/{module.name}/CMakeLists.txt"
        if module.name not in order:
            yield f"{where}: the floor plan in docs/architecture.md does not name {module.name}"
            continue
        for below in module.depends:
            if below not in tree.modules:
                yield f"{where}: DEPENDS names fathom::{below}, which is no module under src/"
            elif below in order and order.index(below) >= order.index(module.name):
                yield f"{where}: {module.name} depends on {below}, which does not stand below it in docs/architecture.md"


def read_floor_plan(tree: Tree) -> list[str]:
    """The modules from the ground up. The document has the entrances on top, as a house does."""
    path = tree.root / "docs/architecture.md"
    if not path.exists():
        return []
    return re.findall(r"^\| `(\w+)/` \|", tree.text(path), re.MULTILINE)[::-1]


def includes_follow_depends(tree: Tree):
    """A module includes only what its DEPENDS reaches"""
    for path in tree.sources:
        module = tree.module_of(path)
        if module is None or module not in tree.modules:
            continue
        reached = tree.transitive(module) | {module}
        for number, name in includes(tree, path):
            other = name.split("/")[0]
            if "/" in name and other in tree.modules and other not in reached:
                if path.stem.endswith(("_test", "_fuzz", "_bench")) and is_fake(name):
                    continue
                yield f"{tree.name(path)}:{number}: includes {name}, but fathom::{other} is not in the DEPENDS of {module}"


def is_fake(include: str) -> bool:
    return bool(re.search(r"/(fake|memory)/", include)) or include.endswith("_conformance.h")


def public_headers(tree: Tree, module: str) -> set[str]:
    """The face src/X/X.h, the headers it includes or names in its leading comment; all of a module without a face."""
    folder = tree.root / "src" / module
    face = folder / f"{module}.h"
    if not face.exists():
        return {f"{module}/{path.name}" for path in folder.glob("*.h")}
    leading = re.match(r"(?:\s*//[^\n]*\n)*", tree.text(face))[0]
    named = re.findall(rf"\b{module}/[\w/]+\.h\b", leading)
    own = [name for _, name in includes(tree, face) if name.startswith(f"{module}/")]
    return {f"{module}/{module}.h", *named, *own}


def no_private_includes(tree: Tree):
    """A foreign module is included by its public headers only"""
    public = {name: public_headers(tree, name) for name in tree.modules}
    for path in tree.sources:
        module = tree.module_of(path)
        is_app = tree.name(path).startswith("apps/")
        is_test = path.stem.endswith(("_test", "_fuzz", "_bench"))
        for number, name in includes(tree, path):
            other = name.split("/")[0]
            if "/" not in name or other == module or other not in public or name in public[other]:
                continue
            # main makes the adapters; tests may stand on fakes and conformance suites.
            if (is_app and name.count("/") >= 2) or (is_test and is_fake(name)):
                continue
            yield f"{tree.name(path)}:{number}: {name} is private to {other}; its public headers: {', '.join(sorted(public[other]))}"


def no_banned_names(tree: Tree):
    """Threads, locks, clocks, chance and the environment only in rt (and at the entrance, apps/)"""
    for path in tree.sources:
        name = tree.name(path)
        inside = name.removeprefix("src/")
        if not name.startswith("src/") or inside.split("/")[0] in BANNED_NOT_IN or inside in BANNED_NOT_IN:
            continue
        code = tree.code(path)
        for pattern, instead in BANNED.items():
            for match in re.finditer(pattern, code):
                line = code.count("\n", 0, match.start()) + 1
                yield f"{name}:{line}: {match[0].strip(' (')} is not used here: {instead}"


def no_dead_files(tree: Tree):
    """Every source file is named by a CMakeLists.txt, every header included by someone"""
    listed = set()
    for path in tree.files:
        if path.name == "CMakeLists.txt":
            listed |= {(path.parent / file).resolve() for file in re.findall(r"[\w./-]+\.cpp\b", tree.text(path))}
    included = {name for path in tree.sources for _, name in includes(tree, path)}
    for path in tree.sources:
        name = tree.name(path)
        if path.suffix == ".cpp" and path.resolve() not in listed and not is_bundled(name):
            yield f"{name}: no CMakeLists.txt names it; list it or delete it"
        is_face = path.stem == tree.module_of(path)
        if path.suffix == ".h" and name.startswith("src/") and not is_face:
            if name.removeprefix("src/") not in included:
                yield f"{name}: nobody includes it"


def is_bundled(name: str) -> bool:
    """Handlers are compiled by `fathom deploy`, not by CMake."""
    return name.startswith(("store/", "tests/functions/", "sdk/"))


def no_stray_marks(tree: Tree):
    """No FIXME, XXX or HACK; a TODO says its kind: TODO(perf|test|port|cleanup)"""
    for path in tree.sources:
        for number, line in enumerate(tree.text(path).splitlines(), 1):
            if re.search(r"\b(FIXME|XXX|HACK)\b", line):
                yield f"{tree.name(path)}:{number}: a stray mark: mend it, or write TODO(perf|test|port|cleanup): what, and when it matters"
            elif re.search(r"\bTODO\b(?!\((perf|test|port|cleanup)\): )", line):
                yield f"{tree.name(path)}:{number}: write TODO(perf|test|port|cleanup): what, and when it matters"


def no_long_files(tree: Tree):
    """No source file over 800 lines"""
    for path in tree.sources:
        lines = tree.text(path).count("\n")
        if lines > FILE_LINES_MAX:
            yield f"{tree.name(path)}: {lines} lines, at most {FILE_LINES_MAX}: split it by what it does"


def headers_open_well(tree: Tree):
    """A header in src/ starts with what it is, then #pragma once"""
    for path in tree.sources:
        name = tree.name(path)
        if path.suffix != ".h" or not name.startswith("src/"):
            continue
        text = tree.text(path)
        if not text.startswith("//"):
            yield f"{name}:1: a header starts with a comment that says what it is and what it promises"
        if "#pragma once" not in text:
            yield f"{name}:1: #pragma once is missing"


def no_machine_paths(tree: Tree):
    """No path of somebody's machine in a committed file"""
    pattern = re.compile(r"(?<![\w.$}])/(work|home/(?!app\b)\w+|Users|farm)/[\w.-]+|/tmp/bash_jobs")
    for path in tree.files:
        name = tree.name(path)
        if name.startswith("tests/tidy") or name == "tests/test_tidy.py" or b"\0" in path.read_bytes()[:4096]:
            continue
        for number, line in enumerate(tree.text(path).splitlines(), 1):
            match = pattern.search(line)
            if match:
                yield f"{name}:{number}: {match[0]} exists on one machine only"


def is_formatted(tree: Tree):
    """clang-format-19 changes nothing"""
    sources = [str(path) for path in tree.sources]
    formatter = shutil.which("clang-format-19")
    if not formatter:
        yield "clang-format-19 is not installed: tools/setup test"
    elif sources:
        run = subprocess.run([formatter, "--dry-run", "--Werror", *sources], capture_output=True, text=True)
        bad = sorted({line.split(":")[0] for line in run.stderr.splitlines() if ": error:" in line})
        for name in bad:
            yield f"{tree.name(Path(name))}: not formatted: python3 tests/tidy.py --fix"


def links_lead_somewhere(tree: Tree):
    """Every relative link and every `src/...` path in the documents exists"""
    for path in tree.files:
        if path.suffix != ".md":
            continue
        name = tree.name(path)
        for number, line in enumerate(tree.text(path).splitlines(), 1):
            for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", line):
                if "://" not in target and not (path.parent / target).exists():
                    yield f"{name}:{number}: the link {target} leads nowhere"
            for target in re.findall(r"`((?:src|apps|tests|tools|runtime|sdk|store|docs|cmake)/[\w./-]*\w)`", line):
                if not (tree.root / target).exists():
                    yield f"{name}:{number}: {target} does not exist"


def all_is_documented(tree: Tree):
    """Every setting is in docs/configuration.md, every metric in docs/metrics.md, and nothing else is"""
    settings = read_names(tree, r'^\s*\{"(--[\w-]+)"', lambda name: name == "apps/fathom/settings.cpp")
    yield from compare_names(tree, settings, "docs/configuration.md", r"^\| `(--[\w-]+)` \|")
    metrics = read_names(
        tree, r'"((?:gateway|fathom|http|process)_[a-z_]+)"',
        lambda name: name.startswith("src/") and not name.endswith(("_test.cpp", "_bench.cpp"))
        and re.search(r"\b(counters|gauges|histograms|on_read|Registry)\b", tree.text(tree.root / name)),
    )
    yield from compare_names(tree, metrics, "docs/metrics.md", r"^\| `(\w+)` \|")


def read_names(tree: Tree, pattern: str, is_wanted) -> dict[str, str]:
    """Name to where it stands."""
    found = {}
    for path in tree.sources:
        name = tree.name(path)
        if is_wanted(name):
            for match in re.finditer(pattern, tree.text(path), re.MULTILINE):
                found.setdefault(match[1], name)
    return found


def compare_names(tree: Tree, in_code: dict[str, str], document: str, pattern: str):
    path = tree.root / document
    text = tree.text(path) if path.exists() else ""
    documented = set(re.findall(pattern, text, re.MULTILINE))
    for name in sorted(in_code.keys() - documented):
        yield f"{in_code[name]}: {name} is not in {document}"
    for name in sorted(documented - in_code.keys()):
        yield f"{document}: {name} does not exist"


RULES = [
    floor_plan,
    includes_follow_depends,
    no_private_includes,
    no_banned_names,
    no_dead_files,
    no_stray_marks,
    no_long_files,
    headers_open_well,
    no_machine_paths,
    is_formatted,
    links_lead_somewhere,
    all_is_documented,
]


def check(root: Path):
    """(what the rule says, complaints) for every rule."""
    tree = Tree(root)
    return [(rule.__doc__.strip(), list(rule(tree))) for rule in RULES]


def fix(root: Path) -> None:
    sources = [str(path) for path in Tree(root).sources]
    subprocess.run(["clang-format-19", "-i", *sources], check=True)


def main() -> int:
    root = Path(__file__).resolve().parent.parent
    if "--fix" in sys.argv[1:]:
        fix(root)
    is_clean = True
    for rule, complaints in check(root):
        print(f"{'FAILED' if complaints else 'ok':8} {rule}")
        for complaint in complaints:
            is_clean = False
            print(f"         {complaint}")
    return 0 if is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
