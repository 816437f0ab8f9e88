"""The one program with two doors: the command line and the window."""

from __future__ import annotations

import importlib
import os
import sys
from importlib import metadata


def main(arguments: list[str] | None = None) -> int:
    """Run `hilum` with ``arguments`` (default: the process's own); return the exit code."""
    from workstation.arguments import parse

    options = parse(sys.argv[1:] if arguments is None else arguments)
    if options.version:
        print(f"hilum {metadata.version('hilum')}")
        return 0
    if options.command is None:
        options = parse([])
    # The doors are imported by name once it is known which one opens: each costs a second.
    if options.command == "open":
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
