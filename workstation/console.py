"""What every command does the same way: progress, problems and JSON on the console."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from workstation.jobs import Cancelled, Job, State
from workstation.problems import explain

Work = Callable[[str, Callable[[Any], Any]], Any]
"""Runs a titled piece of work that takes a `Progress`, and returns its result."""

Commands = Mapping[str, Callable[[argparse.Namespace], int]]
"""Name of a command to what it does; it returns the exit code."""

COUNTING_S, CHANGING_S = 5.0, 0.5  # between two lines of progress
DONE, PROBLEM, DIFFERENCE, CANCELLED = 0, 1, 3, 130


def run(commands: Commands, options: argparse.Namespace) -> int:
    """Run the command that ``options`` name; return the exit code."""
    try:
        code = commands[options.command](options)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except (KeyboardInterrupt, Cancelled):
        print("stopped", file=sys.stderr)
        return CANCELLED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the last flush
        return DONE
    except Exception as error:
        problem = tell(error)
        if getattr(options, "json", False):
            print_json({"error": problem})
        return PROBLEM


def tell(error: Exception) -> dict[str, str]:
    """Say on standard error what went wrong; return the same as a JSON record."""
    record = problem_record(error)
    tell_record(record)
    if not isinstance(error, ValueError | RuntimeError | OSError | MemoryError):
        print(explain(error).trace, file=sys.stderr)
    return record


def problem_record(error: Exception) -> dict[str, str]:
    """Return as a JSON record what went wrong and what to do."""
    problem = explain(error)
    return {"title": problem.title, "detail": problem.detail, "remedy": problem.remedy}


def tell_record(record: Mapping[str, str]) -> None:
    """Say on standard error what `problem_record` returned."""
    words = f"{record['title']} {record['detail']}"
    print(f"hilum: {' '.join(words.split())}", file=sys.stderr)
    if record["remedy"]:
        print(f"  {record['remedy']}", file=sys.stderr)


def print_json(document: Any) -> None:
    """Print one JSON document on standard output."""
    json.dump(document, sys.stdout, indent=2, ensure_ascii=False, allow_nan=False)
    print()


def work(title: str, work: Callable[[Any], Any]) -> Any:
    """Run ``work(progress)`` as a job that reports on standard error; return its result."""
    job = Job(title, work, _Watch())
    job.run()
    if job.state is State.CANCELLED:
        raise Cancelled(title)
    if job.error is not None:
        raise job.error
    return job.result


class _Watch:
    """Prints a line when the work changes, and sometimes while it only counts on."""

    def __init__(self) -> None:
        self.last = ""
        self.when = 0.0

    def __call__(self, job: Job[Any]) -> None:
        now = time.monotonic()
        words = re.sub(r"\d+", "", job.message)
        pause = COUNTING_S if words == self.last else CHANGING_S
        if job.state is not State.RUNNING or not words or now - self.when < pause:
            return
        self.last, self.when = words, now
        print(f"{job.fraction:4.0%}  {job.title}: {job.message}", file=sys.stderr)
