"""The example that evaluates on several images, against a real daemon with two live Ambers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.harness import Amber, Daemon, folder, run_example

IMAGES = ("amber-one", "amber-two")


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """A daemon with two live Ambers."""
    with folder() as home, Daemon(home) as started, Amber(started.url, IMAGES[0]), Amber(started.url, IMAGES[1]):
        for image_id in IMAGES:
            started.wait_for("image.connected", image_id=image_id)
        yield started


def shown_groups(daemon: Daemon, code: str) -> dict[str, list[str]]:
    """What the example prints: each answer, and the images that gave it."""
    shown = run_example("evaluate_on_images.py", code, daemon.url)
    assert (shown.returncode, shown.stderr) == (0, "")
    title, *lines = shown.stdout.splitlines()
    assert title == f"{code}  on 2 images"
    groups: dict[str, list[str]] = {}
    for line in lines:
        if line.startswith(" "):
            [*groups.values()][-1].append(line.split()[0])
        else:
            groups[line] = []
    return groups


def test_example_prints_equal_answers_once(daemon: Daemon) -> None:
    """Two images that agree are one group, also about an error."""
    assert {answer: sorted(ids) for answer, ids in shown_groups(daemon, "6 * 7").items()} == {
        "2x 42 (Number)": [*IMAGES]
    }
    groups = shown_groups(daemon, "3 zork")
    assert [*groups] == ["2x MessageNotUnderstood: 3 does not understand #zork"]


def test_example_prints_different_answers_apart(daemon: Daemon) -> None:
    """Two images that differ are two groups, each with its image."""
    groups = shown_groups(daemon, "process pid")
    assert [answer.partition(" ")[0] for answer in groups] == ["1x", "1x"]
    assert sorted(ids[0] for ids in groups.values()) == [*IMAGES]


def test_example_on_the_users_own_daemon_works(daemon: Daemon) -> None:
    """Without a URL the daemon is found on its unix socket."""
    shown = run_example("evaluate_on_images.py", "3 + 4", STUI_SESSIOND_RUNTIME_DIR=str(daemon.socket_path.parent))
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "2x 7 (Number)" in shown.stdout


def test_example_that_cannot_go_on_says_so() -> None:
    """Without code, without images and without a daemon it ends with 1 and one line."""
    assert run_example("evaluate_on_images.py").stderr == "usage: evaluate_on_images.py CODE [URL]\n"
    with folder() as home, Daemon(home) as alone:
        shown = run_example("evaluate_on_images.py", "3", alone.url)
    assert (shown.returncode, shown.stderr) == (1, "evaluate_on_images: no image is connected\n")
    shown = run_example("evaluate_on_images.py", "3", "unix:///nowhere/daemon.sock")
    assert (shown.returncode, "no daemon answers" in shown.stderr) == (1, True)
