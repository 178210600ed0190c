"""Progress of long commands: one line a step with its seconds. Knows nothing of what the steps do."""

import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console


@dataclass
class Steps:
    """Says each step as it begins, and how long it took.

    Attributes:
        seconds: by step, in order; for the demo's own summary and the benches.
    """

    console: Console
    seconds: dict[str, float] = field(default_factory=dict[str, float])

    @contextmanager
    def step(self, name: str, what: str) -> Generator[None]:
        """Time one step; it is printed as failed when it raises."""
        begun = time.monotonic()
        if not self.console.is_terminal:  # nothing moves there, so the beginning is a line too
            self.console.print(f"  {what} ...")
        with self.console.status(f"{what} ..."):
            try:
                yield
            except BaseException:
                self.console.print(f"[red]✗[/red] {what} ({time.monotonic() - begun:.0f} s)")
                raise
        self.seconds[name] = time.monotonic() - begun
        self.console.print(f"[green]✓[/green] {what} ({self.seconds[name]:.1f} s)")

    def note(self, text: str) -> None:
        """A line between steps."""
        self.console.print(f"  {text}", markup=False, highlight=False, soft_wrap=True)

    def not_used(self, names: Sequence[str]) -> None:
        """Name the user's settings that the demo does not take; nothing where there are none."""
        if names:
            self.note(f"Not used: your {', '.join(names)}; the demo decides every setting itself.")
