"""`python -m stui_sessiond` is `stui-sessiond`."""

from stui_sessiond.cli import main

main()
