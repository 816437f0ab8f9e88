"""The one program with two doors: the command line and the window."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
from importlib import metadata
from types import ModuleType

PROBLEM, CANCELLED = 1, 130

DOORS = {
    "segment": ("workstation.file_commands", "segment"),
    "mesh": ("workstation.file_commands", "mesh"),
    "repair": ("workstation.file_commands", "repair"),
    "evaluate": ("workstation.file_commands", "evaluate"),
    "align": ("workstation.align_commands", "main"),
    "score": ("workstation.score_commands", "main"),
    "validate": ("workstation.validate_commands", "main"),
    "plans": ("workstation.plan_commands", "plans_command"),
    "compare": ("workstation.plan_commands", "compare_command"),
    "compare-donors": ("workstation.transplant_commands", "compare_donors"),
    "simulate-user": ("workstation.simulate_commands", "main"),
    "models": ("workstation.models_commands", "main"),
    "implants": ("workstation.implants_commands", "main"),
    "pacs": ("workstation.pacs_commands", "main"),
    "deidentify": ("workstation.deidentify_commands", "main"),
}
"""Commands with a module of their own, and the function in it; `workstation.cli` has the rest.

Only the door that opens is imported: the rest costs a second or two.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run `hilum` with ``arguments`` (default: the process's own); return the exit code."""
    from workstation.arguments import parse

    options = parse(sys.argv[1:] if arguments is None else arguments)
    if options.version:
        print(f"hilum {metadata.version('hilum')}")
        return 0
    if options.command is None:
        options = parse([])
    if options.command == "open":
        chosen = options.screenshot or os.environ.get("QT_QPA_PLATFORM")
        if not chosen and not has_screen():
            print("hilum: There is no screen here for the window.", file=sys.stderr)
            print("  Use the commands instead; hilum --help lists them.", file=sys.stderr)
            return PROBLEM
        return int(_window(options.path, options.screenshot))
    code = _command(options)
    if code == 0 and options.command == "demo" and not options.headless and has_screen():
        return int(_window(options.case, options.screenshot))
    return code


def _command(options: argparse.Namespace) -> int:
    """Run a command behind its own door."""
    console = _imported("workstation.console")
    name, function = DOORS.get(options.command, ("workstation.cli", ""))
    door = _imported(name)
    if not function:
        return int(console.run(door.COMMANDS, options))
    run = getattr(door, function)
    return int(console.run({options.command: lambda options: run(options, console.work)}, options))


def _window(path: object, screenshot: object) -> int:
    return int(_imported("workstation.ui.app").main(path, screenshot))


def _imported(name: str) -> ModuleType:
    """Import a door; Ctrl-C leaves at once, since some libraries swallow it while they load."""

    def leave(*_: object) -> None:
        print("stopped", file=sys.stderr, flush=True)
        os._exit(CANCELLED)

    before = signal.signal(signal.SIGINT, leave)
    try:
        return importlib.import_module(name)
    finally:
        signal.signal(signal.SIGINT, before)


def has_screen() -> bool:
    """Tell whether a window could be seen here."""
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


if __name__ == "__main__":
    sys.exit(main())
