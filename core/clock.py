"""Time as the server keeps it: aware UTC, whole milliseconds, because MongoDB stores no finer."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Now, cut to the millisecond."""
    return to_milliseconds(datetime.now(UTC))


def to_milliseconds(moment: datetime) -> datetime:
    """The same moment, cut to the millisecond."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
