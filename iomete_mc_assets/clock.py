"""The one caller of ``datetime.now``. Everything else takes the instant as an argument."""

from datetime import UTC, datetime


def now() -> datetime:
    """The present instant, aware, in UTC."""
    return datetime.now(UTC)
