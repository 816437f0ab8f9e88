import errno
import threading

import pytest

from segmentation.contract import Finding, Number, Severity, share
from workstation.jobs import Job, State
from workstation.problems import explain


def test_a_job_reports_and_keeps_its_result():
    heard = []
    job = Job(
        "count", lambda p: [p(0.5, "half"), 42][1], lambda j: heard.append((j.state, j.fraction))
    )
    assert job.run().result == 42
    assert job.state is State.SUCCESS
    assert heard == [
        (State.RUNNING, 0.0),
        (State.RUNNING, 0.5),
        (State.RUNNING, 1.0),
        (State.SUCCESS, 1.0),
    ]


def test_cancel_from_another_thread_ends_the_work_at_its_next_report():
    started = threading.Event()

    def work(progress):
        while True:
            progress(0.1)
            started.set()

    job = Job("endless", work)
    thread = threading.Thread(target=job.run)
    thread.start()
    assert started.wait(5)
    job.cancel()
    thread.join(5)
    assert not thread.is_alive()
    assert job.state is State.CANCELLED
    assert job.result is None


def test_a_late_cancel_still_counts():
    job = Job("late", lambda progress: job.cancel())
    assert job.run().state is State.CANCELLED


def test_an_error_becomes_the_state_of_the_job():
    def work(progress):
        raise ValueError("the label is empty; segment it first")

    job = Job("fails", work).run()
    assert job.state is State.ERROR
    problem = explain(job.error)
    assert (problem.title, problem.remedy) == ("The label is empty.", "Segment it first.")
    assert "ValueError" in problem.trace


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left", "/x"), "disk is full"),
        (PermissionError(errno.EACCES, "denied", "/x"), "Access is denied"),
        (OSError(errno.EROFS, "read-only", "/x"), "read-only"),
        (MemoryError(), "not enough memory"),
        (KeyError("k"), "unexpected"),
    ],
)
def test_errors_are_explained(error, words):
    problem = explain(error)
    assert words in problem.title
    assert problem.remedy


def test_share_fills_its_part():
    seen = []
    share(lambda f, m="": seen.append((f, m)), 1, 4)(0.5, "x")
    assert seen == [(0.375, "x")]


def test_findings_and_numbers_survive_json():
    finding = Finding(Severity.WARNING, "gap", "a slice is missing", (1.0, -2.0, 3.5), "rescan")
    assert Finding.from_json(finding.to_json()) == finding
    number = Number("volume", 3.5, "mL", "count", 3.0, 4.0)
    assert Number.from_json(number.to_json()) == number
    assert number.full_name("liver") == "liver.volume"
    plain = Number("aspect_ratio", 1.6, "", "height over neck width", plain=True)
    assert Number.from_json(plain.to_json()).full_name("shape") == "aspect_ratio"
