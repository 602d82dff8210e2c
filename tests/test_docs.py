"""The README, docs/ and the examples' page: links, commands, messages, the site."""

import argparse
import ast
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from functools import partial

import pytest
import tyro
from making import ROOT, call_main, two_modules, write_photos

import export
import train
from googlenet_keras import cli
from googlenet_keras.files import write_json
from tuning import search

PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text("utf-8")
    for path in (
        *sorted(ROOT.glob("*.md")),
        *sorted((ROOT / "docs").glob("*.md")),
        ROOT / "examples" / "README.md",
    )
}
FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)
INLINE_CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.M)
ASSIGNMENT = re.compile(r"\w+=.*")

# the README's commands: what its main path adds to be quick, ...
MAIN_PATH = {
    "python train.py --dataset FOLDER --image-size 128": "--recipe smoke "
    "--image-size 32 --batch-size 8 --architecture small.json --width 1",
    "python -m googlenet_keras predict RUN photo.jpg": "",
    "python export.py": "--formats int8",
    "python -m googlenet_keras predict RUN/export/int8.tflite photo.jpg": "",
    "python examples/classify.py RUN/export/int8.tflite photo.jpg": "",
    "python -m googlenet_keras describe --variant paper": "",
}
# ... and why the others are not run here
NOT_RUN = {
    "python3 -m venv .venv": "the tests are in an environment already",
    ". .venv/bin/activate": "the tests are in an environment already",
    "pip install -r requirements.txt": ".ci/run does it",
    "pip install -r requirements-mobile.txt": ".ci/run does it",
    "pip install -r requirements.txt -r requirements-mobile.txt "
    "-r requirements-dev.txt": ".ci/run does it",
    "python -m pytest -n 3 --dist loadfile": "it is what runs this",
    "python train.py": "takes minutes; tests/test_end_to_end.py trains on the digits",
    "python train.py --recipe finetune --dataset FOLDER": "downloads; tests/test_api.py"
    " takes the weights from a server of its own",
    "python export.py --run-folder RUN --formats web --activation-map": "needs npm; "
    "tests/web does it",
    "python -m googlenet_keras serve RUN": "ends with Ctrl+C; tests/commands does it",
}
# of these lines only the files that they name are checked
OTHER_PROGRAMS = {
    **dict.fromkeys(("pip", "peers/bin/pip", "python3", ".", "export"), "not ours"),
    **dict.fromkeys(("adb", "ruff", "mypy", "lint-imports", "mkdocs"), "not ours"),
    "peers/bin/python": "needs PyTorch",
}
NOT_PARSED = {
    **dict.fromkeys(("venv", "pytest"), "not ours"),
    "examples/classify.py": "has no flags; the main path runs it",
    "benchmarks.export_ratios": "opens its files while it reads their names",
}
OUR_PROGRAMS = {
    "train.py": partial(call_main, train.main),
    "export.py": partial(call_main, export.main),
    "googlenet_keras": partial(call_main, cli.main),
    "tuning.search": partial(call_main, search.main),
}


def read_commands(text):
    """The commands in the sh blocks of a page; `a && b` are two."""
    commands = []
    for language, block in FENCED.findall(text):
        if language == "sh":
            lines = block.replace("\\\n", " ").splitlines()
            lines = [line for line in lines if line and not line.startswith("#")]
            commands += [part for line in lines for part in line.split("&&")]
    return [" ".join(command.split()) for command in commands]


def read_inline_commands(text):
    """The commands in the running text and in the tables of a page."""
    programs = ("train.py", "export.py", "-m googlenet_keras ", "-m tuning", "-m bench")
    spans = INLINE_CODE.findall(FENCED.sub("", text))
    starts = tuple(f"python {program}" for program in programs)
    return [span for span in spans if span.startswith(starts)]


COMMANDS = sorted(
    {
        command
        for page in PAGES.values()
        for command in read_commands(page) + read_inline_commands(page)
    }
)


class Parsed(BaseException):
    """The flags have been read; what follows is not run."""


def stopping(parse):
    """A parser that raises Parsed when it has read the flags."""

    def parse_and_stop(*arguments, **options):
        flags = parse(*arguments, **options)
        if options.get("return_unknown_args"):  # the first look, at --recipe
            return flags
        raise Parsed

    return parse_and_stop


@pytest.fixture
def parsers(tmp_path, monkeypatch):
    """Parsers that stop, in a folder with the files that flags are read from."""
    monkeypatch.chdir(tmp_path)
    for folder in (tmp_path / "SEARCH", tmp_path / "SHARED" / "search"):
        folder.mkdir(parents=True)
        write_json(folder / "config.json", {})
        write_json(folder / "best_architecture.json", two_modules().to_json())
    write_json(tmp_path / "network.json", two_modules().to_json())
    for owner, name in (
        (tyro, "cli"),
        (tyro.extras, "subcommand_cli_from_dict"),
        (argparse.ArgumentParser, "parse_args"),
    ):
        monkeypatch.setattr(owner, name, stopping(getattr(owner, name)))


def run_benchmark(name, *arguments):
    module = name.removesuffix(".py").replace("/", ".")
    main = partial(runpy.run_module, module, run_name="__main__", alter_sys=True)
    call_main(main, *arguments)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_can_be_read_by_its_program(command, parsers):
    words = shlex.split(command)
    for word in words:
        if word.endswith((".py", ".txt")):
            assert (ROOT / word).is_file(), word
    while ASSIGNMENT.fullmatch(words[0]):
        del words[0]
    if words[0] in ("taskset", "srun"):
        del words[: words.index("python")]
    if words[0] == "googlenet-keras":
        words[:1] = ["python", "-m", "googlenet_keras"]
    program, *words = words
    if program in OTHER_PROGRAMS:
        return
    name, *arguments = words[1:] if words[0] == "-m" else words
    if name in NOT_PARSED:
        return
    run = OUR_PROGRAMS.get(name, partial(run_benchmark, name))
    with pytest.raises(SystemExit if "--help" in words else Parsed):
        run(*arguments)


def slug(heading):
    """The anchor of a heading, as hosts of repositories make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file_and_a_heading(page):
    text = INLINE_CODE.sub("", FENCED.sub("", PAGES[page]))
    links = [x for x in LINK.findall(text) if not x.startswith(("http:", "https:"))]
    for link in links:
        name, _, anchor = link.partition("#")
        target = (ROOT / page).parent / name if name else ROOT / page
        assert target.is_file(), link
        if anchor:
            headings = HEADING.findall(FENCED.sub("", target.read_text("utf-8")))
            assert anchor in map(slug, headings), link


def test_every_page_is_reachable():
    linked = {x.partition("#")[0] for x in LINK.findall(PAGES["docs/index.md"])}
    assert {page.removeprefix("docs/") for page in PAGES if page[:5] == "docs/"} <= {
        *linked,
        "index.md",
    }


def texts_in_the_code():
    """Every string in the program, with spaces where values are put in."""
    for folder in ("googlenet_keras", "tuning"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    parts = [getattr(part, "value", "") for part in node.values]
                    yield "\0".join(x if isinstance(x, str) else "" for x in parts)
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value


def test_every_message_of_the_faq_is_one_of_the_program():
    texts = "\n".join(texts_in_the_code())
    messages = [m for kind, m in FENCED.findall(PAGES["docs/faq.md"]) if kind == "text"]
    assert len(messages) >= 20
    for message in messages:
        for part in re.split(r"\.\.\.|: ", " ".join(message.split())):
            assert part.strip(" ,.;:()") in texts, part


def test_every_path_of_the_change_map_exists():
    page = PAGES["docs/architecture.md"]
    table = page[page.index("| to change") : page.index("## Layers")]
    paths = [x for x in INLINE_CODE.findall(table) if re.fullmatch(r"[\w/.*]+", x)]
    paths = [x for x in paths if "/" in x or x.endswith(".py")]
    assert len(paths) > 60
    for path in paths:
        assert [*ROOT.glob(path), *(ROOT / "googlenet_keras").glob(path)], path


def test_every_command_of_the_readme_is_run_or_says_why_not():
    assert {*read_commands(PAGES["README.md"])} == MAIN_PATH.keys() | NOT_RUN.keys()


@pytest.mark.slow
def test_the_main_path_of_the_readme(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = ("\u732b", "caf\xe9")  # which no file and no command may garble
    write_photos(tmp_path / "FOLDER", dict.fromkeys(names, 10))
    shutil.copy(tmp_path / "FOLDER" / names[0] / "0.jpg", "photo.jpg")
    write_json(tmp_path / "small.json", two_modules().to_json())
    printed = {}
    for command in read_commands(PAGES["README.md"]):
        if command in MAIN_PATH:
            _, *words = shlex.split(f"{command} {MAIN_PATH[command]}")
            if words[0].startswith("examples/"):  # a program without our packages
                line = [sys.executable, ROOT / words[0], *words[1:]]
                printed[command] = subprocess.check_output(line, encoding="utf-8")
                continue
            name, *arguments = words[1:] if words[0] == "-m" else words
            OUR_PROGRAMS[name](*arguments)
            printed[command] = capsys.readouterr().out
            if name == "train.py":
                (run,) = (tmp_path / "runs").iterdir()
                (tmp_path / "RUN").symlink_to(run)
    trained, predicted, exported, by_file, classified, described = printed.values()
    assert "everything is in" in trained
    assert "passed" in exported
    named = "(" + "|".join(names) + ")"
    for output in (predicted, by_file):
        assert re.search(rf"photo.jpg +{named} [\d.]+%, {named}", output)
    assert re.search(rf"[\d.]+%  {named}", classified)
    labels = (tmp_path / "RUN" / "export" / "labels.txt").read_text("utf-8")
    assert {*labels.splitlines()} == {*names}
    assert "6,998,552" in described


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", tmp_path / "site"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    reference = (tmp_path / "site" / "reference.html").read_text("utf-8")
    assert "Options of one training run" in reference
    assert (tmp_path / "site" / "repository" / "examples" / "classify.py").is_file()
