"""What users are shown works: each page's Python blocks run as one program, its sweep files and commands are valid.

A sweep file that is shown for its mistakes is marked ``yaml wrong``; the ``text`` block after it begins its message.
"""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

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


@with_blocks("sh")
def test_the_commands_of_a_page_are_known(page: Path) -> None:
    group = typer.main.get_command(app)
    for line in "".join(blocks(page, "sh")).splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] == ["audition"]:
            command = group.commands[words[1]]  # type: ignore[attr-defined]
            command.make_context(words[1], words[2:])  # refuses options that it does not have


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []
