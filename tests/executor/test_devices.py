"""Gpus go to reservations whole, or shared by fractions."""

# ruff: noqa: N802 - the binding's names

from __future__ import annotations

import logging
import sys
from collections.abc import Collection
from pathlib import Path

import pytest

from executor.devices import Devices, discover


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
