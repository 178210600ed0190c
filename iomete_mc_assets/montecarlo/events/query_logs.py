"""An ended query as Monte Carlo's query log entry. The text goes unaltered unless it alone is too large."""

from typing import cast

from iomete_mc_assets.montecarlo.events.event import Event, Json, clean, encoded, iso, quoted
from iomete_mc_assets.records import QueryRecord


def event(query: QueryRecord, *, max_bytes: int) -> Event:
    """The query log event.

    Args:
        query: one ended query.
        max_bytes: what one event may take in a request. A longer one loses the end of its text; the
            original length is sent in ``extra`` and the event is noted as ``truncated``.
    """
    text = clean(query.text)
    body = _body(query, text)
    if len(body) <= max_bytes:
        return Event.of(query.query_id, body)
    return Event.of(query.query_id, _cut(query, text, max_bytes), "truncated")


def _body(query: QueryRecord, text: str, *, cut_from: int | None = None) -> bytes:
    """The entry's JSON, put together field by field: a dictionary first takes three times as long."""
    parts = [
        f'"start_time": "{iso(query.started_at)}"',
        f'"end_time": "{iso(query.ended_at)}"',
        f'"query_text": {quoted(text)}',
        f'"query_id": {quoted(clean(query.query_id))}',
    ]
    if query.user is not None:
        parts.append(f'"user": {quoted(clean(query.user))}')
    code = query.error_code
    if code is None and query.status not in (None, "succeeded"):
        code = query.status.upper()  # a failure without a code would read as a success
    if code is not None:
        parts.append(f'"error_code": {quoted(clean(code))}')
    if query.error_text is not None:
        parts.append(f'"error_text": {quoted(clean(query.error_text))}')
    if query.returned_rows is not None and query.returned_rows >= 0:
        parts.append(f'"returned_rows": {query.returned_rows}')
    extra = _extra(query) if query.extra else dict[str, Json]()
    if query.end_estimated:
        extra["end_time_estimated"] = True
    if cut_from is not None:
        extra["query_text_truncated_from"] = cut_from
    whole = f"{{{', '.join(parts)}".encode("ascii")
    return whole + (b', "extra": ' + encoded(extra) + b"}" if extra else b"}")


def _extra(query: QueryRecord) -> dict[str, Json]:
    """What other vendors tell, texts and numbers."""
    return {
        clean(name): clean(value) if isinstance(value, str) else cast("Json", value)
        for name, value in query.extra.items()
    }


def _cut(query: QueryRecord, text: str, max_bytes: int) -> bytes:
    """The body with the longest beginning of the text that fits (escapes make its bytes uneven)."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if len(_body(query, text[:middle], cut_from=len(text))) <= max_bytes:
            low = middle
        else:
            high = middle - 1
    return _body(query, text[:low], cut_from=len(text))
