"""What must never be shown."""

import base64
import json
import re
import time
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iomete_mc_assets.redaction import MASK, redacted

secrets = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="*"), min_size=6)


@given(secrets, st.text(max_size=20), st.text(max_size=20))
def test_no_spelling_of_a_secret_survives(secret: str, before: str, after: str) -> None:
    for form in forms(secret):
        for written in writings(form):
            assert written not in redacted(f"{before}{written}{after}", [secret])


def forms(secret: str) -> Iterator[str]:
    yield secret
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(secret.encode()).decode().rstrip("=")


def writings(form: str) -> Iterator[str]:
    yield form
    for quoted in (quote(form, safe=""), quote(form), quote_plus(form)):
        yield quoted
        yield re.sub("%..", lambda found: found[0].lower(), quoted)
    units = form.encode("utf-16-be").hex()
    every = "".join("\\u" + units[start : start + 4] for start in range(0, len(units), 4))
    for escaped in (json.dumps(form)[1:-1], json.dumps(form, ensure_ascii=False)[1:-1], every):
        yield from (escaped, escaped.replace("/", "\\/"), json.dumps(escaped)[1:-1])


@pytest.mark.parametrize("unit", ["\\", "%", "%25", "\\u005c"])
def test_a_long_answer_of_escapes_alone_is_looked_through_in_a_moment(unit: str) -> None:
    text = unit * (65_536 // len(unit))
    began = time.process_time()
    assert redacted(text, ["\\\\\\\\\\\\/+secret"]) == text
    assert time.process_time() - began < 2


def test_absent_secrets_mask_nothing() -> None:
    assert redacted("a text", ["", None]) == "a text"
    assert redacted("key=abcdef;", ["abcdef"]) == f"key={MASK};"
