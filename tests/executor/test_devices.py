"""Gpus go to reservations whole, or shared by fractions."""

from __future__ import annotations

from executor.devices import Devices


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
