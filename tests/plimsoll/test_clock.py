"""The clocks: affine, kept, never going back."""

from plimsoll.clock import PlayedClock, ScaledClock


class Wall:
    ms = 1_000_000

    def __call__(self) -> int:
        return self.ms


def test_scenario_time_runs_at_its_speed(tmp_path):
    wall = Wall()
    clock = ScaledClock.resume(tmp_path / "clock.json", start_ms=5_000, speed=60, wall=wall)
    wall.ms += 1_000
    assert clock() == 65_000


def test_two_processes_read_the_same_scenario_time_from_the_file(tmp_path):
    wall = Wall()
    clock = ScaledClock.resume(tmp_path / "clock.json", start_ms=5_000, speed=60, wall=wall)
    wall.ms += 777
    assert ScaledClock(tmp_path / "clock.json", wall)() == clock()


def test_a_second_start_goes_on_where_the_first_was_last_seen(tmp_path):
    wall = Wall()
    clock = ScaledClock.resume(tmp_path / "clock.json", start_ms=5_000, speed=60, wall=wall)
    wall.ms += 1_000
    clock.remember()
    wall.ms += 86_400_000
    again = ScaledClock.resume(tmp_path / "clock.json", start_ms=5_000, speed=10, wall=wall)
    assert again() == 65_000
    wall.ms += 1_000
    assert again() == 75_000


def test_remembering_does_not_move_the_clock(tmp_path):
    wall = Wall()
    clock = ScaledClock.resume(tmp_path / "clock.json", start_ms=0, speed=7, wall=wall)
    wall.ms += 123
    clock.remember()
    assert ScaledClock(tmp_path / "clock.json", wall)() == clock() == 861


def test_a_played_clock_never_goes_back():
    clock = PlayedClock(10)
    clock.advance(30)
    clock.advance(20)
    assert clock() == 30
