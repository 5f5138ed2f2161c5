"""Runs the front end as `python -m stui_sessiond.tui`."""

from stui_sessiond.tui.cli import main

main(prog_name="stui")
