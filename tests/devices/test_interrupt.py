from vmxon.devices.interrupt import Line


def test_every_listener_hears_each_change_once_in_order() -> None:
    heard: list[tuple[str, bool]] = []
    line = Line(lambda level: heard.append(("pic", level)))
    line.connect(lambda level: heard.append(("ioapic", level)))
    for level in (False, True, True, False):
        line.set(level)
    assert heard == [("pic", True), ("ioapic", True), ("pic", False), ("ioapic", False)]


def test_pulse_is_one_rising_edge_whatever_the_level_was() -> None:
    heard: list[bool] = []
    line = Line(heard.append)
    line.pulse()
    line.pulse()
    assert heard == [True, False, True]
    assert line.level


def test_restoring_a_level_tells_nobody() -> None:
    heard: list[bool] = []
    line = Line(heard.append)
    line.restore({"level": True})
    assert line.level
    assert heard == []
