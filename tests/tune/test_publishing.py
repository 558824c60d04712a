"""A journal that is published: whole at any moment, and no checkpoint goes that a published one still counts on."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

import pytest

from tests.tune.story import Story
from tune.errors import ExperimentBusyError
from tune.storage import journal, published, publishing, remote
from tune.storage.claim import NAME, Claim
from tune.storage.home import Home
from tune.storage.places import UrlPlace
from tune.storage.publishing import Publisher

DEADLINE_S = 30.0
NEVER_S = 3600.0


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("AUDITION_LIVE", str(tmp_path))
    home = Home.at(f"memory://{tmp_path.name}/e")
    home.make()
    return home


@pytest.fixture
def story(home: Home) -> Iterator[Story]:
    """A trial that has reported twice, in the live journal."""
    story = Story(home.live)
    story.opens()
    story.starts({"x": 1})
    story.reports("t0", accuracy=0.1)
    yield story
    story.closes()


def wait_until_published(home: Home) -> None:
    until = time.monotonic() + DEADLINE_S
    while not published.is_there(home):
        assert time.monotonic() < until
        time.sleep(0.005)


def positions(home: Home, tmp_path: Path) -> int:
    """How many rows the published journal has."""
    copy = tmp_path / "copy"
    copy.mkdir(exist_ok=True)
    assert remote.fetch(f"{home.address}/{journal.DATABASE}", copy / journal.DATABASE)
    with journal.reading(copy) as connection:
        return len(list(journal.entries(connection)))


def test_it_is_published_at_once_and_at_the_end(home: Home, story: Story, tmp_path: Path) -> None:
    publisher = Publisher(home, UrlPlace(home.address), interval_s=NEVER_S)
    wait_until_published(home)
    before = positions(home, tmp_path)
    story.reports("t0", accuracy=0.2)
    assert positions(home, tmp_path) == before
    publisher.close()
    assert positions(home, tmp_path) == before + 1
    assert remote.files(home.address) == [journal.DATABASE]


def test_a_checkpoint_outlives_the_published_journal_that_counts_on_it(home: Home, story: Story) -> None:
    place = UrlPlace(home.address)
    saved = place.save("t0", 1, 1, lambda path: None)
    publisher = Publisher(home, place, interval_s=NEVER_S)
    wait_until_published(home)
    publisher.delete(saved)
    assert place.has(saved)
    publisher.close()
    assert not place.has(saved)


def test_nothing_is_deleted_while_nothing_can_be_published(home: Home, story: Story, caplog) -> None:
    place = UrlPlace(home.address)
    saved = place.save("t0", 1, 1, lambda path: None)
    nowhere = Home("nonsense://e", home.directory, home.live)
    with contextlib.closing(Publisher(nowhere, place, interval_s=NEVER_S)) as publisher:
        publisher.delete(saved)
    assert place.has(saved)
    assert f"everything is kept in {home.live}" in caplog.text


def test_a_run_ends_saying_that_its_end_was_not_published_although_it_said_so_of_its_beginning(
    home: Home, story: Story, caplog
) -> None:
    nowhere = Home("nonsense://e", home.directory, home.live)
    with contextlib.closing(Publisher(nowhere, UrlPlace(home.address), interval_s=NEVER_S)):
        until = time.monotonic() + DEADLINE_S
        while not caplog.messages:
            assert time.monotonic() < until
            time.sleep(0.005)
    first, last = caplog.messages
    assert first == last
    assert last.endswith("is published once that works, or by: audition doctor nonsense://e --mend")


def test_an_end_that_cannot_be_published_is_said_and_nothing_more_is_tried(home: Home, story: Story, caplog) -> None:
    nowhere = Home("nonsense://e", home.directory, home.live)
    assert not publishing.publish_the_end(nowhere, None)
    assert "the end of its journal could not be published" in caplog.text
    assert publishing.publish_the_end(home, None)


class Watched(Claim):
    """A claim that tells when it is looked at."""

    def __init__(self, address: str, live: Path) -> None:
        super().__init__(address, live, beat_s=NEVER_S)
        self.looks: SimpleQueue[None] = SimpleQueue()

    def check(self) -> None:
        self.looks.put(None)
        super().check()


def test_a_run_whose_claim_is_lost_touches_no_checkpoint_and_ends_saying_so(home: Home, story: Story, caplog) -> None:
    place = UrlPlace(home.address)
    doomed, damaged = (place.save("t0", 1, iteration, lambda path: None) for iteration in (1, 2))
    with Watched(home.address, home.live) as claim:
        other = {"token": "other", "pid": 7, "host": "elsewhere"}
        remote.write(f"{home.address}/{NAME}", json.dumps(other).encode())
        with contextlib.closing(Publisher(home, place, claim, interval_s=0.001)) as publisher:
            publisher.delete(doomed)
            with pytest.raises(ExperimentBusyError, match="taken up by process 7 on elsewhere"):
                publisher.set_aside(damaged)
            for _ in range(4):
                claim.looks.get(timeout=DEADLINE_S)
    assert place.names() == [doomed.path, damaged.path]
    assert caplog.text.count("taken up by process 7 on elsewhere") == 2
