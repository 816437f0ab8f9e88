from workstation import selftest
from workstation.picture import probe
from workstation.selftest import Check, table, to_json


def test_everything_is_tried_and_told():
    told: list[float] = []
    checks = selftest.run(lambda fraction, message="": told.append(fraction))
    found = {check.name: check for check in checks}
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert all(found[f"DICOM {name}"].ok for name in selftest.SYNTAXES)
    assert found["surfaces"].ok
    assert found["packages"].ok
    assert found["3D rendering"].ok == (probe() is None)
    assert {"window", "GPU", "memory", "disk", "temporary folder", "networks"} <= found.keys()
    assert to_json(checks)["ok"] == all(c.ok or c.optional for c in checks)


def test_a_failing_check_says_what_to_do():
    checks = [Check("GPU", False, "none", optional=True), Check("disk", True, "room")]
    assert to_json(checks)["ok"] is True
    broken = Check("rendering", False, "no OpenGL", "install libgl1")
    document = to_json([*checks, broken])
    assert document["ok"] is False
    assert document["checks"][-1]["remedy"] == "install libgl1"
    lines = table([*checks, broken]).splitlines()
    assert [line.split()[0] for line in lines] == ["-", "ok", "FAILS"]
    assert lines[-1].endswith("no OpenGL (install libgl1)")


def test_a_disk_without_room_is_seen(monkeypatch):
    def refuse(*_: object, **__: object) -> object:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(selftest.tempfile, "TemporaryFile", refuse)
    found = {check.name: check for check in selftest.run()}
    assert not found["temporary folder"].ok
    assert "TMPDIR" in found["temporary folder"].remedy
