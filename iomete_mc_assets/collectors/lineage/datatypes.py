"""Spark's type names, taken apart as far as lineage needs: a struct's fields, an array's elements, a map's sides."""

from collections.abc import Iterator


def struct_fields(spelled: str | None) -> list[tuple[str, str]] | None:
    """Names (folded) and types of a struct's fields; None for any other type."""
    inside = _inside(spelled, "STRUCT")
    if inside is None:
        return None
    fields: list[tuple[str, str]] = []
    for part in _split(inside, ","):
        name, *rest = _split(part, ":")
        fields.append((_name(name), ":".join(rest).strip()))
    return fields


def element(spelled: str | None) -> str | None:
    """An array's element type; None for any other type."""
    inside = _inside(spelled, "ARRAY")
    return None if inside is None else inside.strip()


def is_map(spelled: str | None) -> bool:
    """Whether it is a map."""
    return _inside(spelled, "MAP") is not None


def _inside(spelled: str | None, word: str) -> str | None:
    text = (spelled or "").strip()
    # what the catalog could not take apart it leaves in lower case, and claims no fields
    if not text.startswith(word) or not text.endswith(">"):
        return None
    inside = text[len(word) :].lstrip()
    return inside[1:-1] if inside.startswith("<") else None


def _name(text: str) -> str:
    text = text.strip()
    if text.startswith("`") and text.endswith("`"):
        text = text[1:-1].replace("``", "`")
    return text.casefold()


def _split(text: str, at: str) -> Iterator[str]:
    """The pieces between separators that stand in no bracket and no quotes."""
    depth, quoted, begun = 0, False, 0
    for place, letter in enumerate(text):
        if letter == "`":
            quoted = not quoted
        elif quoted:
            continue
        elif letter in "<(":
            depth += 1
        elif letter in ">)":
            depth -= 1
        elif letter == at and depth == 0:
            yield text[begun:place]
            begun = place + 1
    yield text[begun:]
