"""The GraphQL half of the local Monte Carlo: documents checked against Monte Carlo's own schema, some operations answered.

What the operations answer lives in ``gateway_setup``, ``gateway_tables`` and ``gateway_lineage``, HTTP and keys elsewhere.
"""

import functools
import json
import logging
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLResolveInfo,
    GraphQLSchema,
    build_client_schema,
    execute_sync,  # pyright: ignore[reportUnknownVariableType]  # its middleware's items have no type
    parse,
    validate,
)

from iomete_mc_assets.errors import SandboxError
from iomete_mc_assets.sandbox import gateway_lineage, gateway_setup, gateway_tables
from iomete_mc_assets.sandbox.gateway_faults import Answer
from iomete_mc_assets.sandbox.gateway_world import Resolver, World

GRAPHQL_PATH = "/graphql"

OPERATIONS: Mapping[str, Resolver] = {
    **gateway_setup.OPERATIONS,
    **gateway_tables.OPERATIONS,
    **gateway_lineage.OPERATIONS,
}
"""Every query and mutation that the sandbox answers, by its name in the schema."""

logger = logging.getLogger(__name__)


@functools.cache
def monte_carlo_schema() -> GraphQLSchema:
    """The schema inside pycarlo, found without importing it; 0.4 to 1.1 s and 54 MiB, once a process.

    Raises:
        SandboxError: pycarlo is not installed.
    """
    spec = find_spec("pycarlo")
    if spec is None or spec.origin is None:
        msg = "The sandbox's GraphQL needs pycarlo's schema, and pycarlo is not installed."
        raise SandboxError(msg)
    path = Path(spec.origin).parent / "lib" / "schema.json"
    # assume_valid: the file writes enum defaults as strings, which a full check may refuse
    return build_client_schema(json.loads(path.read_text())["data"], assume_valid=True)


def answered(body: bytes, world: World) -> Answer:
    """Answer one GraphQL request.

    400 for what is no request or does not fit the schema, else 200 with data and errors.
    """
    asked = _asked(body)
    if asked is None:
        return failure(400, "the body must be JSON with a query, and variables an object or null")
    document, problems = _valid_document(str(asked["query"]))
    if document is None:
        return _json(400, {"errors": [problem.formatted for problem in problems]})
    result = execute_sync(
        monte_carlo_schema(),
        document,
        context_value=world,
        variable_values=asked.get("variables"),
        operation_name=asked.get("operationName"),
        field_resolver=_resolve,
    )
    for error in result.errors or ():
        if error.original_error and not isinstance(error.original_error, GraphQLError):
            logger.error("a sandbox resolver failed", exc_info=error.original_error)
    return _json(200, cast("dict[str, object]", result.formatted))


def failure(status: int, message: str) -> Answer:
    """An error in GraphQL's shape."""
    return _json(status, {"errors": [{"message": message}]})


def _json(status: int, content: Mapping[str, object]) -> Answer:
    return Answer(status=status, body=json.dumps(content))


def _asked(body: bytes) -> dict[str, Any] | None:
    """The request's parts; None if it is none."""
    try:
        asked: object = json.loads(body)
    except ValueError:
        return None
    if not isinstance(asked, dict):
        return None
    parts = cast("dict[str, Any]", asked)
    fits = isinstance(parts.get("query"), str) and isinstance(
        parts.get("variables"), dict | type(None)
    )
    return parts if fits else None


@functools.lru_cache(maxsize=64)
def _valid_document(text: str) -> tuple[DocumentNode | None, Sequence[GraphQLError]]:
    """The parsed document, or why it does not fit the schema."""
    try:
        document = parse(text)
    except GraphQLError as error:
        return None, (error,)
    problems = validate(monte_carlo_schema(), document)
    return (None, problems) if problems else (document, ())


def _resolve(source: object, info: GraphQLResolveInfo, /, **arguments: object) -> object:
    """Operations by name; fields from the mapping above them, and never a silent null.

    A field that takes arguments is a function of them.
    """
    name = info.field_name
    if info.parent_type in (info.schema.query_type, info.schema.mutation_type):
        resolver = OPERATIONS.get(name)
        if resolver is None:
            known = ", ".join(sorted(OPERATIONS))
            msg = f"the sandbox's Monte Carlo has no operation {name}; it has {known}"
            raise GraphQLError(msg)
        return resolver(cast("World", info.context), arguments)
    fields = cast("Mapping[str, object]", source)
    if name not in fields:
        msg = f"the sandbox's Monte Carlo does not know {info.parent_type.name}.{name}"
        raise GraphQLError(msg)
    value = fields[name]
    return value(arguments) if callable(value) else value
