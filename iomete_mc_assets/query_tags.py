"""Spark SQL with a comment by which Monte Carlo links a query to the job and the task that ran it. For users' own code; knows no Dagster.

The form is Monte Carlo's: ``-- {"mcd_job_id": "...", "mcd_task_id": "...", "mcd_resource_id": "..."}``.
"""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

_UNSAFE = re.compile(r"[^A-Za-z0-9 _./-]")
_VALUE = r'"(?:[A-Za-z0-9 _./-]|\\u[0-9a-f]{4})*"'
COMMENT = re.compile(
    rf'-- \{{"mcd_job_id": {_VALUE}, "mcd_task_id": {_VALUE}(?:, "mcd_resource_id": {_VALUE})?\}}'
    r"(?=[\r\n]|$)"
)
"""A comment as it is written here, to the end of its line; nothing else is taken for one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryTag:
    """Who runs a query, by the ids under which Monte Carlo knows jobs.

    Attributes:
        job_id: the job's source id.
        task_id: the task's, within the job.
        resource_id: UUID of the container that the job was reported to; None leaves it out.
    """

    job_id: str
    task_id: str
    resource_id: str | None = None

    @property
    def comment(self) -> str:
        """One line, whatever the ids are: all but letters, digits and ``_./-`` is escaped, as JSON allows.

        So nothing ends the comment, and no client takes a part of it for a parameter, a variable or an end.
        """
        named = {"mcd_job_id": self.job_id, "mcd_task_id": self.task_id}
        if self.resource_id is not None:
            named["mcd_resource_id"] = self.resource_id
        inside = ", ".join(f"{json.dumps(name)}: {_quoted(value)}" for name, value in named.items())
        return f"-- {{{inside}}}"

    def on(self, sql: str) -> str:
        """The statement behind the comment, as it was, comments at its end included; one that is tagged stays as it is."""
        return sql if COMMENT.match(sql) else f"{self.comment}\n{sql}"


class AssetKey(Protocol):
    """Dagster's."""

    def to_user_string(self) -> str:
        """With slashes."""
        ...


class Op(Protocol):
    """Dagster's."""

    @property
    def name(self) -> str:
        """As it was defined."""
        ...


class Context(Protocol):
    """What Dagster hands to an asset or an op."""

    @property
    def job_name(self) -> str:
        """Of the run; Dagster's own for assets that were launched without a job."""
        ...

    @property
    def has_assets_def(self) -> bool:
        """Whether it is an asset's."""
        ...

    @property
    def selected_asset_keys(self) -> Collection[AssetKey]:
        """Of the step."""
        ...

    @property
    def op_def(self) -> Op:
        """What the step runs."""
        ...


def tagged(
    sql: str, context: Context, *, group: str | None = None, resource_id: str | None = None
) -> str:
    """A statement tagged with the job and the asset (or op) that runs it.

    Args:
        sql: one statement, as Spark takes it; of several in a text, tag each.
        context: Dagster's, of an asset or an op.
        group: what stands before the job's name where it was reported so, e.g. the code location; None for nothing.
        resource_id: as in ``QueryTag``.
    """
    job = context.job_name if group is None else f"{group}/{context.job_name}"
    return QueryTag(job_id=job, task_id=_task(context), resource_id=resource_id).on(sql)


def _task(context: Context) -> str:
    """The asset's key; of an op, and of a step with several assets, the op's name."""
    keys = list(context.selected_asset_keys) if context.has_assets_def else []
    return keys[0].to_user_string() if len(keys) == 1 else context.op_def.name


def _quoted(value: str) -> str:
    return f'"{_UNSAFE.sub(_escaped, value)}"'


def _escaped(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
