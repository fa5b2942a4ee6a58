"""What the dispatcher reads from a run's folder."""

from __future__ import annotations

from pathlib import Path

from trainers.progress import FILE, Progress
from trainers.run_folder import last_line


def test_last_line__keeps_the_loss_training_ended_with(tmp_path: Path) -> None:
    """A recipe that trains faster than the dispatcher looks still shows its loss."""
    progress = Progress(tmp_path)
    for step, loss in enumerate((1.5, 0.25), start=1):
        progress.say("train", step, 2, loss)
    progress.say("done", message="promote in 2 s")
    progress.close()

    line = last_line(tmp_path)

    assert line is not None
    assert (line.phase, line.loss) == ("done", 0.25)


def test_last_line__is_none_before_the_first_whole_line(tmp_path: Path) -> None:
    """A line that is being written is not read."""
    assert last_line(tmp_path) is None
    (tmp_path / FILE).write_text('{"phase": "tra', encoding="utf-8")

    assert last_line(tmp_path) is None
