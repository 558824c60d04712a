"""Gpus go to reservations whole, or shared by fractions."""

# ruff: noqa: N802 - the binding's names

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Collection
from pathlib import Path

import pytest

from executor.devices import Devices, discover, lost


class Nvml:
    """NVIDIA's management library as its binding shows it, on a machine of four gpus."""

    NVML_ERROR_DRIVER_NOT_LOADED, NVML_ERROR_LIBRARY_NOT_FOUND = 9, 12
    NVML_ERROR_NOT_FOUND, NVML_ERROR_GPU_IS_LOST, NVML_ERROR_RESET_REQUIRED = 6, 15, 16

    class NVMLError(Exception):
        def __init__(self, value: int) -> None:
            super().__init__(f"error {value}")
            self.value = value

    def __init__(self, *, lost: Collection[str] = (), worn: Collection[str] = (), broken: int = 0) -> None:
        self._lost, self._worn, self._broken = lost, worn, broken

    def nvmlInit(self) -> None:
        if self._broken:
            raise self.NVMLError(self._broken)

    def nvmlShutdown(self) -> None: ...

    def nvmlDeviceGetCount(self) -> int:
        return 4

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:
        return self.nvmlDeviceGetHandleByUUID(f"GPU-{index}{index}")

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        if uuid in self._lost:
            raise self.NVMLError(self.NVML_ERROR_GPU_IS_LOST)
        if len(uuid) < len("GPU-00"):
            raise self.NVMLError(self.NVML_ERROR_NOT_FOUND)
        return uuid

    def nvmlDeviceGetMemoryInfo(self, handle: str) -> None:
        if handle in self._worn:
            raise self.NVMLError(self.NVML_ERROR_RESET_REQUIRED)


@pytest.fixture
def dev(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The device files of a machine with four gpus."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for name in ("nvidiactl", "nvidia-uvm", *(f"nvidia{number}" for number in range(4))):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.fault("F27")
def test_gpus_that_are_lost_or_need_a_reset_are_left_out_and_named(
    dev: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", Nvml(lost=["GPU-11"], worn=["GPU-33"]))
    with caplog.at_level(logging.WARNING):
        assert discover(dev) == ("0", "2")
    assert caplog.messages == ["gpu 1 is not used: error 15", "gpu 3 is not used: error 16"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-2,GPU-11,GPU-00")
    assert discover(dev) == ("GPU-2", "GPU-00"), "of a shortened name nothing is known"


@pytest.mark.fault("F27")
def test_where_the_driver_does_not_answer_no_gpu_is_used(
    dev: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", Nvml(broken=Nvml.NVML_ERROR_DRIVER_NOT_LOADED))
    with caplog.at_level(logging.WARNING):
        assert discover(dev) == ()
    assert caplog.messages == ["no gpu is used: NVIDIA's driver does not answer: error 9"]


def test_without_the_drivers_library_the_device_files_are_counted(dev: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", Nvml(broken=Nvml.NVML_ERROR_LIBRARY_NOT_FOUND))
    assert discover(dev) == ("0", "1", "2", "3")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,-1")
    assert discover(dev) == ("2",)
    assert discover(dev / "elsewhere") == ()


@pytest.mark.fault("F27")
def test_gpus_that_are_lost_while_they_are_used_are_told_with_why(dev: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", Nvml(lost=["GPU-11"], worn=["GPU-22"]))
    assert lost(["0", "1", "GPU-22"], dev) == {"1": "error 15", "GPU-22": "error 16"}
    monkeypatch.setitem(sys.modules, "pynvml", Nvml())
    assert lost(["0", "1"], dev) == {}
    monkeypatch.setitem(sys.modules, "pynvml", Nvml(broken=Nvml.NVML_ERROR_DRIVER_NOT_LOADED))
    assert lost(["0"], dev) == {"0": "NVIDIA's driver does not answer: error 9"}
    assert lost(["0"], dev / "elsewhere") == {}, "nobody says so where there is no driver"


@pytest.mark.fault("F27")
def test_a_driver_that_never_answers_holds_nobody_up(dev: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = threading.Event()

    class Wedged(Nvml):
        def nvmlInit(self) -> None:
            answers.wait()

    monkeypatch.setitem(sys.modules, "pynvml", Wedged())
    assert lost(["0"], dev, within_s=0.05) == {"0": "NVIDIA's driver did not answer within 0.05 s"}
    answers.set()


def test_nothing_is_given_of_a_device_that_is_withheld_until_it_no_longer_is() -> None:
    devices = Devices(["0", "1"])
    held = devices.take(0.5)
    assert held is not None
    devices.withhold(["0"])
    assert (devices.withheld, names(devices.take(0.5)), devices.take(1)) == (0.5, ["1"], None)
    devices.give_back(held)
    assert (devices.withheld, devices.take(1)) == (1, None)
    devices.withhold([])
    assert (devices.withheld, names(devices.take(1))) == (0, ["0"])


def names(shares: tuple[tuple[str, int], ...] | None) -> list[str] | None:
    return None if shares is None else [name for name, _ in shares]


def test_fractions_fill_one_device_before_they_touch_the_next() -> None:
    devices = Devices(["0", "1"])
    assert [names(devices.take(0.5)) for _ in range(5)] == [["0"], ["0"], ["1"], ["1"], None]


def test_whole_devices_are_given_alone() -> None:
    devices = Devices(["0", "1", "2"])
    assert names(devices.take(0.25)) == ["0"]
    assert names(devices.take(2)) == ["1", "2"]
    assert devices.take(1) is None
    assert names(devices.take(0.75)) == ["0"]


def test_ten_tenths_are_one_device_exactly() -> None:
    devices = Devices(["0"])
    shares = [devices.take(0.1) for _ in range(10)]
    assert devices.take(0.1) is None
    for share in shares:
        assert share is not None
        devices.give_back(share)
    assert names(devices.take(1)) == ["0"]


def test_no_gpu_is_no_device() -> None:
    assert Devices(["0"]).take(0) == Devices([]).take(0) == ()
