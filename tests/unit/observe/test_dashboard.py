"""Do dashboard, rules, scrape configuration and the reference name what a daemon really tells?"""

import asyncio
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from stui_sessiond.storage.file import FileStorage
from tests.unit.bed.daemon import running_daemon
from tests.unit.observe import reference
from tests.unit.observe.bed import MACHINE, OPEN, read, some_life

FOLDER = reference.ROOT / "examples" / "observe"
promtool = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(promtool is None, reason="needs promtool (package prometheus)")


def expressions(tree: Any) -> list[str]:  # noqa: ANN401 -- any JSON
    """Everything in a dashboard that asks Prometheus."""
    if isinstance(tree, dict):
        own = [tree["expr"]] if isinstance(tree.get("expr"), str) else []
        return own + [one for value in tree.values() for one in expressions(value)]
    return [one for value in tree for one in expressions(value)] if isinstance(tree, list) else []


def named(text: str) -> set[str]:
    """The metrics that an expression names."""
    return set(re.findall(r"\b(?:stui|process|python)_[a-z_]+", text))


async def told(folder: Path) -> set[str]:
    """What a daemon tells that has done most things."""
    async with running_daemon(FileStorage(folder / "data"), server=OPEN, audited=True) as running:
        await some_life(running)
        async with running.talker() as client:
            await client.call("create_backup")
            await client.call("get_session_info", session_id="session_1_1_none")
            counted = (await client.call("create_session", client_id="me", machine=MACHINE))["session_id"]
            await client.call("apply_transition", session_id=counted, transition="step", change={"count": 1})
            client.write(b"{nonsense}\n")
            await client.hear()
            async with running.image():
                return (await read(running)).names


def dashboard() -> dict[str, Any]:
    """The dashboard file."""
    found: dict[str, Any] = json.loads((FOLDER / "grafana-dashboard.json").read_text("utf-8"))
    return found


async def test_dashboard_and_rules_name_what_is_told(tmp_path: Path) -> None:
    """A metric that is called otherwise, or is gone, would leave a panel empty and an alert silent."""
    present = await told(tmp_path)
    absent_without_trouble = {"stui_connections_refused_total", "stui_image_latency_seconds"}
    from_dashboard = set().union(*(named(one) for one in expressions(dashboard())))
    from_rules = named(re.sub(r"#.*", "", (FOLDER / "alerts.yml").read_text("utf-8")))
    assert len(from_dashboard) > 40
    assert len(from_rules) > 10
    assert from_dashboard - present - absent_without_trouble == set()
    assert from_rules - present == set()


def test_dashboard_can_be_imported() -> None:
    """Ids are there once, panels do not lie on each other, and each asks the data source that was chosen."""
    found = dashboard()
    panels = found["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
        for target in panel.get("targets", ()):
            assert target["datasource"]["uid"] == "${datasource}"
            assert "$instance" in target["expr"], target["expr"]


@needs_promtool
@pytest.mark.parametrize("what", ["config", "rules"])
async def test_files_for_prometheus_are_sound(what: str, tmp_path: Path) -> None:
    """Promtool accepts the configuration with its rules, and the rules for themselves."""
    for name in ("prometheus.yml", "alerts.yml"):
        shutil.copy(FOLDER / name, tmp_path)
    (tmp_path / "stui-token").write_text("stui_x")
    file = {"config": "prometheus.yml", "rules": "alerts.yml"}[what]
    assert promtool is not None
    done = await asyncio.to_thread(
        subprocess.run, [promtool, "check", what, file], cwd=tmp_path, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rules found" in done.stdout


@needs_promtool
async def test_expressions_of_the_dashboard_are_promql(tmp_path: Path) -> None:
    """As rules they are accepted, with Grafana's variables filled in."""
    rules = [
        {"record": f"panel:{number}", "expr": one.replace("$__rate_interval", "5m").replace("$instance", ".*")}
        for number, one in enumerate(expressions(dashboard()))
    ]
    (tmp_path / "rules.json").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert promtool is not None
    done = await asyncio.to_thread(
        subprocess.run, [promtool, "check", "rules", str(tmp_path / "rules.json")], text=True, capture_output=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
async def test_alerts_that_fire(tmp_path: Path) -> None:
    """Series as a daemon tells them, in trouble and without: Prometheus itself says which alerts fire."""
    shutil.copy(FOLDER / "alerts.yml", tmp_path)
    silent: list[dict[str, Any]] = [
        {"eval_time": "4h", "alertname": name, "exp_alerts": []} for name in ("StuiNoBackup", "StuiLoopLate")
    ]
    labels = {"instance": "a", "severity": "ticket"}
    fires = {"exp_labels": labels, "exp_annotations": {"summary": "There is no backup at all."}}
    tests = [
        {
            "interval": "1m",
            "input_series": [
                {"series": 'stui_uptime_seconds{instance="a"}', "values": "0+60x300"},
                {"series": 'stui_backup_last_success_timestamp_seconds{instance="a"}', "values": "0+60x300"},
            ],
            "alert_rule_test": silent,
        },
        {
            "interval": "1m",
            "input_series": [{"series": 'stui_uptime_seconds{instance="a"}', "values": "0+60x300"}],
            "alert_rule_test": [{"eval_time": "4h", "alertname": "StuiNoBackup", "exp_alerts": [fires]}],
        },
    ]
    (tmp_path / "test.json").write_text(json.dumps({"rule_files": ["alerts.yml"], "tests": tests}))
    assert promtool is not None
    done = await asyncio.to_thread(
        subprocess.run, [promtool, "test", "rules", "test.json"], cwd=tmp_path, text=True, capture_output=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


async def test_reference_is_what_is_told() -> None:
    """The table is written by `tests/unit/observe/reference.py`."""
    page = reference.PAGE.read_text("utf-8")
    assert reference.with_table(page, await reference.table()) == page
