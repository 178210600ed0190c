"""A query's event out of the JSON that its manifest line already holds. Reads no record; other lines are not its business.

What a line is decides ``manifests.codec``, what an event is ``montecarlo.events.query_logs``, and a
property test holds both ways equal. Why: docs/decisions/0017-query-events-from-manifest-lines.md.
"""

import re

_PLAIN = rb"[ !#-\[\]-~]"
"""A character that JSON in ASCII writes as itself: no quote, no backslash, no escape."""
_INSTANT = rb'"([-0-9]{10}T[:0-9]{8}(?:\.(?!000000)[0-9]{6}|(?=\.000000)))(?:\.000000)?Z"'
"""Its microseconds are left out when there are none, as in an event."""
_MAYBE = rb'(?:null|"%b*+")' % _PLAIN

_SUCCEEDED = re.compile(
    rb'\{"catalog":%(maybe)b,"database":%(maybe)b,"end_estimated":false,"ended_at":%(instant)b,'
    rb'"error_code":null,"error_text":null,(?:"plan":\{[^{}]*+\},)?"query_id":"(%(plain)b++)",'
    rb'"returned_rows":(?:null|([0-9]++)),"session_id":%(maybe)b,"started_at":%(instant)b,'
    rb'"status":"succeeded","text":("(?s:.*)"),"user":(?:null|("%(plain)b*+"))\}\n?'
    % {b"maybe": _MAYBE, b"instant": _INSTANT, b"plain": _PLAIN}
)
"""The whole line of a query that succeeded. No quote inside a JSON string follows a comma directly, a
backslash stands before it; so the last ``,"user":`` is the key, and all between is the text. A plan, which
is not sent, holds lists only; one with a brace in a name is left to the record."""


def key_and_body(line: bytes, *, max_bytes: int) -> tuple[bytes, bytes] | None:
    """Key and body of the event that the line's record has; None where only the record can tell.

    That is the case for a query without success, an estimated end, characters in an id or a name that
    JSON escapes, a text that has to be cut; and for whatever ``codec`` does not write, which it words.

    Args:
        line: of a part whose digest is the header's, so that nobody but ``codec`` wrote it.
        max_bytes: what one event may take in a request.
    """
    found = _SUCCEEDED.fullmatch(line)
    if found is None:
        return None
    ended_at, query_id, rows, started_at, text, user = found.groups()
    body = b'{"start_time": "%bZ", "end_time": "%bZ", "query_text": %b, "query_id": "%b"%b%b}' % (
        started_at,
        ended_at,
        text,
        query_id,
        b"" if user is None else b', "user": ' + user,
        b"" if rows is None else b', "returned_rows": ' + rows,
    )
    if len(body) > max_bytes:
        return None
    return query_id, body
