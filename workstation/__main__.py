"""The one program with two doors: the command line and the window."""

from __future__ import annotations

import importlib
import os
import sys
from importlib import metadata

PROBLEM, CANCELLED = 1, 130


def main(arguments: list[str] | None = None) -> int:
    """Run `hilum` with ``arguments`` (default: the process's own); return the exit code."""
    try:
        return _main(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:  # while a door was still being imported
        print("stopped", file=sys.stderr)
        return CANCELLED


def _main(arguments: list[str]) -> int:
    from workstation.arguments import parse

    options = parse(arguments)
    if options.version:
        print(f"hilum {metadata.version('hilum')}")
        return 0
    if options.command is None:
        options = parse([])
    # The doors are imported by name once it is known which one opens: each costs a second.
    if options.command == "open":
        chosen = options.screenshot or os.environ.get("QT_QPA_PLATFORM")
        if not chosen and not has_screen():
            print("hilum: There is no screen here for the window.", file=sys.stderr)
            print("  Use the commands instead; hilum --help lists them.", file=sys.stderr)
            return PROBLEM
        return int(_window(options.path, options.screenshot))
    code = int(importlib.import_module("workstation.cli").main(options))
    if code == 0 and options.command == "demo" and not options.headless and has_screen():
        return int(_window(options.case, options.screenshot))
    return code


def _window(path: object, screenshot: object) -> int:
    return int(importlib.import_module("workstation.ui.app").main(path, screenshot))


def has_screen() -> bool:
    """Tell whether a window could be seen here."""
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


if __name__ == "__main__":
    sys.exit(main())
