"""How far a training is: a bar on a terminal, plain lines elsewhere."""

import sys
from collections.abc import Mapping

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Column

from eocore.log import get_logger

SPEEDS = ("samples_per_s", "tokens_per_s")
HIDDEN = ("step", "lr", "step_s", "eta_s", "data_share", "peak_host_gib", "peak_gpu_gib")


def on_terminal() -> bool:
    """True where standard error is a terminal that can redraw a line."""
    return sys.stderr.isatty()


def format_duration(seconds: float) -> str:
    """Hours, minutes, seconds: `1:02:03` or `2:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def describe(record: Mapping[str, float]) -> str:
    """Losses, metrics, learning rate, speeds and time left of a record, in one line."""
    parts = [f"{name} {value:.4g}" for name, value in record.items() if name not in HIDDEN and not name.endswith("_per_s")]
    parts.append(f"lr {record['lr']:.2e}")
    parts += [f"{record[name]:.4g} {name.removesuffix('_per_s')}/s" for name in SPEEDS if name in record]
    return "  ".join([*parts, f"left {format_duration(record['eta_s'])}"])


def describe_briefly(record: Mapping[str, float]) -> str:
    """As `describe`, with what is wanted most first: a terminal shows what fits its width."""
    first = [f"loss {record['loss']:.4g}"] if "loss" in record else []
    first.append(f"left {format_duration(record['eta_s'])}")
    first += [f"{record[name]:.4g} {name.removesuffix('_per_s')}/s" for name in SPEEDS if name in record]
    first.append(f"lr {record['lr']:.2e}")
    rest = [f"{name} {value:.4g}" for name, value in record.items() if name not in (*HIDDEN, "loss") and not name.endswith("_per_s")]
    return "  ".join([*first, *rest])


class ProgressLines:
    """One log line per record."""

    def __init__(self, *, start: int, total: int) -> None:
        """
        Args:
            start: updates made before.
            total: updates in all.
        """
        self.total = total
        get_logger().info("training from step %d to %d", start, total)

    def show(self, record: Mapping[str, float]) -> None:
        """Writes the line of `record`."""
        get_logger().info("step %d/%d  %s", record["step"], self.total, describe(record))

    def pause(self) -> None:
        """Nothing to hide."""

    def go_on(self) -> None:
        """Nothing was hidden."""

    def close(self) -> None:
        """Nothing to end."""


class ProgressBar:
    """A bar that stays at the foot of the terminal, on one line; rich puts what is written to stderr meanwhile above it."""

    def __init__(self, *, start: int, total: int) -> None:
        """
        Args:
            start: updates made before.
            total: updates in all.
        """
        text = TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1))
        count = MofNCompleteColumn(table_column=Column(no_wrap=True))
        self.bar = Progress(BarColumn(bar_width=16), count, text, console=Console(stderr=True), expand=True)
        self.line = self.bar.add_task("waiting for the first update", total=total, completed=start)
        self.bar.start()

    def show(self, record: Mapping[str, float]) -> None:
        """Moves the bar to the step of `record`."""
        self.bar.update(self.line, completed=record["step"], description=describe_briefly(record))

    def pause(self) -> None:
        """Leaves the terminal to another bar."""
        self.bar.stop()

    def go_on(self) -> None:
        """Shows the bar again."""
        self.bar.start()

    def close(self) -> None:
        """Leaves the last state of the bar on the screen."""
        self.bar.stop()
