"""Code that is sent along: named by its content, kept within bounds, never trusted by its name alone."""

from __future__ import annotations

import os
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from executor.hosting.packages import Package, PackageCache, pack, unpack
from executor.hosting.runtime_env import RuntimeEnv


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    for name in ("train.py", "data/weights.bin", ".git/HEAD", "__pycache__/train.pyc"):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    return folder


def names(package: Package) -> list[str]:
    return zipfile.ZipFile(BytesIO(package.content)).namelist()


def test_the_same_content_has_the_same_name_whenever_it_was_written(project: Path) -> None:
    before = pack(project)
    os.utime(project / "train.py", (1, 1))
    assert pack(project) == before
    (project / "train.py").write_text("otherwise")
    assert pack(project).digest != before.digest


def test_caches_and_what_is_excluded_stay_out(project: Path) -> None:
    assert sorted(names(pack(project))) == ["data/weights.bin", "train.py"]
    assert names(pack(project, inside="lib", excludes=["data"])) == ["lib/train.py"]
    assert names(pack(project, excludes=["*.bin"])) == ["train.py"]


def test_files_come_out_as_they_were(project: Path, tmp_path: Path) -> None:
    (project / "train.py").chmod(0o755)
    unpack(pack(project), tmp_path / "there")
    assert (tmp_path / "there" / "data" / "weights.bin").read_text() == "data/weights.bin"
    assert os.access(tmp_path / "there" / "train.py", os.X_OK)
    assert not os.access(tmp_path / "there" / "data" / "weights.bin", os.X_OK)


def test_no_name_in_a_package_leads_out_of_its_folder(tmp_path: Path) -> None:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("../../escaped", "")
        archive.writestr("/tmp/absolute-escaped", "")
    unpack(Package("any", buffer.getvalue()), tmp_path / "a" / "b")
    assert sorted(file.relative_to(tmp_path / "a" / "b").as_posix() for file in tmp_path.rglob("*escaped")) == [
        "escaped",
        "tmp/absolute-escaped",
    ]


def test_what_is_not_what_its_name_says_is_neither_kept_nor_found(project: Path, tmp_path: Path) -> None:
    cache, package = PackageCache(tmp_path / "cache"), pack(project)
    with pytest.raises(ValueError, match="not what its name says"):
        cache.keep(Package(package.digest, package.content + b"more"))
    cache.keep(package)
    assert cache.find(package.digest) == package
    (tmp_path / "cache" / package.digest).write_bytes(b"something else")
    assert cache.find(package.digest) is None


def test_the_least_recently_used_packages_go_when_there_are_too_many(project: Path, tmp_path: Path) -> None:
    made = []
    for number in range(3):
        (project / "train.py").write_text(str(number))
        made.append(pack(project))
    cache = PackageCache(tmp_path / "cache", most_bytes=2 * len(made[0].content) + 8)
    for age, package in enumerate(made[:2]):
        cache.keep(package)
        os.utime(tmp_path / "cache" / package.digest, (age, age))
    assert cache.find(made[0].digest)  # which is a use
    cache.keep(made[2])
    assert [cache.find(one.digest) is not None for one in made] == [True, False, True]


def test_every_mistake_in_an_environment_is_said_at_once(tmp_path: Path) -> None:
    given = {
        "working_dir": str(tmp_path / "nowhere"),
        "py_modules": [str(tmp_path / "lib.so")],
        "env_vars": {"N": 1},
        "pip": ["torch"],
    }
    with pytest.raises(ValueError, match="'pip'") as told:
        RuntimeEnv.of(given)
    assert all(words in str(told.value) for words in ("nowhere", "lib.so", "all texts"))


def test_one_module_or_pattern_may_be_given_by_itself(project: Path) -> None:
    (package,) = RuntimeEnv.of({"py_modules": str(project), "excludes": "*.bin"}).packed()
    assert package == RuntimeEnv.of({"py_modules": [project], "excludes": ["*.bin"]}).packed()[0]
    with pytest.raises(ValueError, match="py_modules must be") as told:
        RuntimeEnv.of({"py_modules": {str(project)}, "excludes": {"*.bin"}})
    assert "excludes must be" in str(told.value)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no files"):
        RuntimeEnv.of({"working_dir": tmp_path}).packed()
