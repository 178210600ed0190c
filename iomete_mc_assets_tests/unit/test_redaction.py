"""What must never be shown."""

import base64
from urllib.parse import quote, quote_plus

from hypothesis import given
from hypothesis import strategies as st

from iomete_mc_assets.redaction import MASK, redacted

secrets = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="*"), min_size=6)


@given(secrets, st.text(max_size=20), st.text(max_size=20))
def test_no_spelling_of_a_secret_survives(secret: str, before: str, after: str) -> None:
    encoded = [base64.b64encode(secret.encode()), base64.urlsafe_b64encode(secret.encode())]
    forms = [secret, quote(secret, safe=""), quote(secret), quote_plus(secret)]
    forms += [text.decode().rstrip("=") for text in encoded]
    for form in forms:
        assert form not in redacted(f"{before}{form}{after}", [secret])


def test_absent_secrets_mask_nothing() -> None:
    assert redacted("a text", ["", None]) == "a text"
    assert redacted("key=abcdef;", ["abcdef"]) == f"key={MASK};"
