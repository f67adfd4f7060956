"""The pages keep up with the code: what can be configured, called, sent or met is in them, and what they say works."""

import argparse
import ast
import contextlib
import io
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from waypost.cli import COMMANDS, build_parser, main, reference
from waypost.config.reader import read_config
from waypost.config.sections import SECTIONS
from waypost.conversation.faults import STATUS, ErrorKind, FaultKind
from waypost.conversation.options import CallOptions, Constraints
from waypost.gateway.admit import HEADERS
from waypost.sim.demo import demo_config_yaml

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SOURCE = ROOT / "src" / "waypost"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
COMMAND = re.compile(rf"(?:\$ )?(?:[A-Z_]+=\S+ )*waypost ((?:{'|'.join(COMMANDS)})\b.*)")
OWN_HEADER = re.compile(r"x-waypost-[a-z]+(?:-[a-z]+)*")
# Variables that a program reads to learn about its machine, not what anyone sets for Waypost.
OF_A_PROTOCOL = {"ON_DEMAND"}
OF_THE_MACHINE = {"SC_CLK_TCK", "SC_PAGE_SIZE", "REQUEST_METHOD"}


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def all_docs() -> str:
    return "\n".join(text(page) for page in PAGES)


def anchors(page: Path) -> set[str]:
    """The headings of a page, as GitHub names them."""
    headings = re.findall(r"^#+ (.+)$", text(page), re.MULTILINE)
    plain = (re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}


def code_lines(page: Path) -> Iterator[str]:
    """The lines of fenced and indented blocks, those that end with a backslash joined with the next."""
    inside = False
    joined = ""
    for line in text(page).splitlines():
        if line.startswith("```"):
            inside = not inside
        elif inside or line.startswith("    "):
            joined += line.strip()
            if not joined.endswith("\\"):
                yield joined
                joined = ""
            joined = joined.removesuffix("\\")


def fenced(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text(page), re.MULTILINE | re.DOTALL)


def literals(*, without: tuple[str, ...] = ()) -> Iterator[str]:
    for path in SOURCE.rglob("*.py"):
        if path.relative_to(SOURCE).parts[0] in without:
            continue
        for node in ast.walk(ast.parse(text(path))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


# ---- what the code has is in the pages


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.path or "top")
def test_every_configuration_key_is_documented(section: object) -> None:
    path, fields = section.path, section.fields  # type: ignore[attr-defined]
    page = text(DOCS / "configuration.md")
    part = page.partition(f"\n## {path or 'The file'}\n")[2].partition("\n## ")[0]
    missing = [field.key for field in fields if f"\n| `{field.key}` |" not in part]
    assert not missing, f"docs/configuration.md, {path}: {missing}"


def test_the_page_of_commands_is_current() -> None:
    assert text(DOCS / "commands.md") == reference.commands(), "make docs"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_a_command_is_documented(command: str) -> None:
    part = text(DOCS / "commands.md").partition(f"\n## waypost {command}\n")[2].partition("\n## ")[0]
    opening = text(DOCS / "commands.md").partition("\n## ")[0]
    for action in reference.parser_of(command)._actions:
        for option in action.option_strings:
            common = option in {"-h", "--help"} or option in opening
            assert common or f"`{option}" in part, f"waypost {command} {option}"


def test_the_page_of_commands_is_printed_by_its_module() -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "waypost.cli.reference"], capture_output=True, text=True, check=True
    )
    assert printed.stdout == reference.commands()


def test_every_header_of_ours_is_documented() -> None:
    page = text(DOCS / "http.md")
    known = {header for literal in literals() for header in OWN_HEADER.findall(literal)}
    known |= {f"x-waypost-{header}" for header in HEADERS}
    assert len(known) > 15
    assert [header for header in sorted(known) if f"`{header}`" not in page] == []
    named = {header for page in PAGES for header in OWN_HEADER.findall(text(page))}
    told = {f"x-waypost-{word}" for word in ("tags", "timeout", "dry-run")}  # put together from words in the code
    assert named - known - told == set(), "the pages name headers that are no more"


def test_every_option_of_a_call_is_documented() -> None:
    page = text(DOCS / "http.md")
    members = (*CallOptions.__struct_fields__, *Constraints.__struct_fields__)
    assert [member for member in members if f"`{member}`" not in page] == []


@pytest.mark.parametrize("kind", ErrorKind)
def test_every_error_is_documented_with_its_status(kind: ErrorKind) -> None:
    rows = re.findall(rf"^\| `{kind.value}` \| (\d+) \|", text(DOCS / "http.md"), re.MULTILINE)
    assert rows == [str(STATUS[kind])]


@pytest.mark.parametrize("kind", FaultKind)
def test_every_fault_is_documented_with_what_follows(kind: FaultKind) -> None:
    assert f"\n| `{kind.value}` |" in text(DOCS / "routing.md")


def test_every_environment_variable_is_documented() -> None:
    upper = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")
    protocols = ("dialects", "sim")  # they read no environment, and their protocols' words look like variables
    found = {literal for literal in literals(without=protocols) if upper.fullmatch(literal)}
    found -= OF_THE_MACHINE | OF_A_PROTOCOL
    found |= {f"{word}_proxy".upper() for word in ("https", "http", "all", "no")}
    for entry in (SOURCE / "upstream" / "providers").glob("*.toml"):
        for line in text(entry).splitlines():
            if "_variables" in line:
                found |= set(upper.findall(line))
    assert {"WAYPOST_CONFIG", "WAYPOST_KEY", "OPENAI_API_KEY", "OLLAMA_HOST"} <= found
    assert [variable for variable in sorted(found) if f"`{variable}`" not in all_docs()] == []


# ---- what the pages say is so


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_relative_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(text(page)):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{name(page)}: {target} leads nowhere"
        if anchor and there.suffix == ".md":
            assert anchor in anchors(there), f"{name(page)}: {target}: {path or name(page)} has no such heading"


def test_the_index_in_the_readme_is_whole() -> None:
    linked = {target.partition("#")[0] for target in LINK.findall(text(ROOT / "README.md"))}
    for page in sorted(DOCS.glob("*.md")):
        assert name(page) in linked, f"README.md does not link {name(page)}"


def test_the_readme_shows_both_commands() -> None:
    lines = list(code_lines(ROOT / "README.md"))
    assert any(re.match(r"(\$ )?make run\b", line) for line in lines)
    assert any(re.match(r"(\$ )?make test\b", line) for line in lines)
    targets = re.findall(r"^([a-z]+):", text(ROOT / "Makefile"), re.MULTILINE)
    said = {target for line in all_docs().splitlines() for target in re.findall(r"`make ([a-z]+)`", line)}
    assert said <= set(targets)


COMMAND_LINES = [
    pytest.param(found[1], id=f"{name(page)}: {found[1]}"[:90])
    for page in PAGES
    for line in code_lines(page)
    if (found := COMMAND.fullmatch(line))
]


@pytest.mark.parametrize("line", COMMAND_LINES)
def test_every_command_line_is_one(line: str) -> None:
    words = shlex.split(line, comments=True)
    ends = [words.index(word) for word in ("|", "<", ">", "&", "&&") if word in words]
    words = words[: min(ends, default=len(words))]
    complaint = io.StringIO()
    with contextlib.redirect_stderr(complaint):
        try:
            parsed = build_parser(words[0]).parse_args(words)
        except SystemExit:
            pytest.fail(complaint.getvalue())
    assert isinstance(parsed, argparse.Namespace)


def test_command_lines_were_found() -> None:
    assert len(COMMAND_LINES) > 20


def test_every_configuration_in_the_readme_can_be_served(tmp_path: Path) -> None:
    blocks = fenced(ROOT / "README.md", "yaml")
    assert len(blocks) >= 2
    environ = {"OPENAI_API_KEY": "sk-a", "ANTHROPIC_API_KEY": "sk-b"}
    for file in ("cert.pem", "key.pem", "app.key"):
        (tmp_path / file).write_text("something\n", encoding="utf-8")
    for block in blocks:
        read_config(block.replace("/etc/waypost", str(tmp_path)), "README.md", environ)


def test_the_first_configuration_prints_what_the_readme_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    block = next(block for block in fenced(ROOT / "README.md", "yaml") if block.startswith("providers:"))
    (tmp_path / "waypost.yaml").write_text(block, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-a")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-b")
    assert main(["check"]) == 0
    said = re.sub(r"revision [0-9a-f]+", "revision R", capsys.readouterr().out)
    assert said in re.sub(r"revision [0-9a-f]+", "revision R", text(ROOT / "README.md"))


def test_the_tour_calls_what_the_simulated_gateway_serves() -> None:
    config = read_config(demo_config_yaml("127.0.0.1:1"), "simulated providers", {})
    served = {route.name for route in config.routes}
    tour = text(ROOT / "README.md").partition("## A tour")[2].partition("\n## ")[0]
    asked = set(re.findall(r'"model":"([^"/]+)","messages"', tour)) | set(re.findall(r"--model (\S+)", tour))
    assert len(asked) >= 3
    assert asked <= served
    tags = {f"{tag}={value}" for budget in config.budgets for tag, value in budget.match.tags}
    assert set(re.findall(r"x-waypost-tags: (\S+)'", tour)) == tags


@pytest.mark.parametrize("block", fenced(ROOT / "README.md", "python"), ids=lambda block: block[:30])
def test_the_programs_in_the_readme_import_what_there_is(block: str) -> None:
    tree = ast.parse(block)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            exec(compile(ast.Module([node], []), "README.md", "exec"), {})  # the imports, and nothing else


def test_the_architecture_names_what_there_is() -> None:
    page = text(DOCS / "architecture.md")
    paths = set(re.findall(r"`([a-z_]+(?:/[a-z_0-9]+)*(?:\.py|/))`", page))
    assert len(paths) > 30
    outside = ("tests/", "src/")
    assert [path for path in sorted(paths) if not path.startswith(outside) and not (SOURCE / path).exists()] == []
    rooms = {path.name for path in SOURCE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert [room for room in sorted(rooms) if f"`{room}/`" not in page] == []
    for row in re.findall(r"^\|[^|]*\| `([a-z_/]+\.py)` \| ([^|]*)\|", page, re.MULTILINE):
        for function in re.findall(r"`([A-Za-z_]+)`", row[1]):
            assert re.search(rf"\b(def|class) {function}\b", text(SOURCE / row[0])), f"{row[0]} has no {function}"
    for function, path in re.findall(r"`([A-Za-z_]+)`\s+(?:in|\()\s*`([a-z_/]+\.py)`", page):
        assert re.search(rf"\b(def|class) {function}\b", text(SOURCE / path)), f"{path} has no {function}"
