"""What users are shown works: each page's Python blocks run as one program, its sweep files and commands are valid.

A sweep file that is shown for its mistakes is marked ``yaml wrong``; the ``text`` block after it begins its message.
What Kubernetes is given is marked ``yaml manifest``.
"""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from tune.cli import app

ROOT = Path(__file__).parent.parent
PAGES = [page for page in (ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))) if page.exists()]
TRAINABLE = """def train(config):\n    return {"accuracy": 1.0, "size": 1}\n"""


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


def with_blocks(language: str) -> pytest.MarkDecorator:
    """Once for each page that has blocks of this language."""
    pages = [page for page in PAGES if blocks(page, language)]
    return pytest.mark.parametrize("page", pages, ids=lambda page: str(page.relative_to(ROOT)))


def run_python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in `folder`, with nothing of this process's environment but the way to our packages."""
    path = {"PYTHONPATH": str(ROOT), "PATH": str(Path(sys.executable).parent) + ":/usr/bin:/bin", "HOME": str(folder)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=path, capture_output=True, text=True, check=False, timeout=100
    )


@with_blocks("python")
def test_the_code_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    program = tmp_path / f"{page.stem.lower()}_page.py"
    program.write_text("\n".join(blocks(page, "python")))
    done = run_python(tmp_path, str(program))
    assert done.returncode == 0, done.stdout + done.stderr


def dry_run(sweep: str, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "train.py").write_text(TRAINABLE)
    (folder / "sweep.yaml").write_text(sweep)
    return run_python(folder, "-m", "tune", "run", "sweep.yaml", "--dry-run")


@with_blocks("yaml")
def test_the_sweep_files_of_a_page_are_valid(page: Path, tmp_path: Path) -> None:
    for sweep in blocks(page, "yaml"):
        done = dry_run(sweep, tmp_path)
        assert done.returncode == 0, sweep + done.stderr


@with_blocks("yaml wrong")
def test_the_mistakes_of_a_page_are_told_as_it_says(page: Path, tmp_path: Path) -> None:
    shown = re.findall(r"^```yaml wrong\n(.*?)^```$.*?^```text\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    for sweep, message in shown:
        done = dry_run(sweep, tmp_path)
        assert done.returncode == 2
        assert done.stderr.startswith(message), done.stderr


def check_command(words: list[str]) -> None:
    """Refuses what the command line does not have."""
    command = typer.main.get_command(app)
    name, arguments = "audition", words[1:]
    while hasattr(command, "commands"):
        name, *arguments = arguments
        command = command.commands[name]
    command.make_context(name, arguments)


def check_script(script: str) -> None:
    """Each command of ours in a script; what the shell would put in for a quoted variable counts as a 1."""
    for line in script.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(re.sub(r'"\$[^"]*"', "1", line), posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words = list(lexer)
        if "audition" in words:
            check_command(list(takewhile(lambda word: word not in "()<>|&;", words[words.index("audition") :])))


@with_blocks("sh")
def test_the_commands_of_a_page_are_known(page: Path) -> None:
    check_script("".join(blocks(page, "sh")))


@with_blocks("bash")
def test_the_scripts_of_a_page_are_whole(page: Path) -> None:
    for script in blocks(page, "bash"):
        done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), script
        check_script(script)


@with_blocks("yaml manifest")
def test_the_manifests_of_a_page_are_whole(page: Path) -> None:
    for text in blocks(page, "yaml manifest"):
        for manifest in yaml.safe_load_all(text):
            assert {"apiVersion", "kind", "metadata", "spec"} == set(manifest)
            assert manifest["metadata"]["name"]
            for container in containers(manifest):
                check_container(container, volumes(manifest))


def containers(manifest: Any) -> Iterator[Any]:
    """All containers anywhere in a manifest."""
    if isinstance(manifest, dict):
        for key, value in manifest.items():
            if key in ("containers", "initContainers"):
                yield from value
            else:
                yield from containers(value)
    elif isinstance(manifest, list):
        for value in manifest:
            yield from containers(value)


def volumes(manifest: Any) -> set[str]:
    """The names of all volumes that pods of a manifest have."""
    found = re.findall(r"'(?:volumes|volumeClaimTemplates)': (\[.*?\}\])", str(manifest))
    return {name for text in found for name in re.findall(r"'name': '([^']+)'", text)}


def check_container(container: Any, known: set[str]) -> None:
    """What it mounts is there, and the commands of ours that it runs are known."""
    assert {mount["name"] for mount in container.get("volumeMounts", [])} <= known, container["name"]
    command = container.get("command", [])
    if command[:1] == ["audition"]:
        check_command(command)
    elif command[:1] == ["sh"]:
        done = subprocess.run(["sh", "-n"], input=command[-1], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), command[-1]
        check_script(command[-1])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []
