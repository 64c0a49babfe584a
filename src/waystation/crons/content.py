"""What a cron consists of: how it comes from a request, changes, and becomes the order of a run (spec 12).

``payload`` is the body that made the cron, kept true by changes to it: what a run of the cron is made from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from msgspec import Struct
from pydantic import ValidationError

from waystation.auth.owner import configurable_of_owner
from waystation.crons.models import CronCreate, CronPatch, ThreadCronCreate
from waystation.crons.schedule import Schedule
from waystation.encoding import encode
from waystation.errors import BadInput, UnprocessableInput
from waystation.http.bodies import describe
from waystation.reserved import strip_config, strip_context, strip_metadata
from waystation.runs.models import RunCreate, RunCreateStateful, RunCreateStateless
from waystation.runs.order import Order, order_from
from waystation.threads.ttl import Ttl
from waystation.timestamps import iso, parse_iso

__all__ = [
    "Change",
    "change_of",
    "changed",
    "judged_change",
    "judged_row",
    "new_row",
    "next_run_date",
    "order_of",
]

B = TypeVar("B", bound=RunCreate)

OF_RUN = (
    "input",
    "config",
    "context",
    "webhook",
    "interrupt_before",
    "interrupt_after",
    "stream_mode",
    "stream_subgraphs",
    "stream_resumable",
    "durability",
    "checkpoint_during",
    "multitask_strategy",
)
"""Fields of ``payload`` that a run is made from. The assistant and the metadata are the cron's own."""

OF_CRON = ("schedule", "timezone", "enabled", "on_run_completed")
"""Columns that a change may set to something new."""


class Change(Struct, frozen=True):
    """What a request changes about a cron."""

    given: dict[str, Any]
    """Fields of `CronPatch` with their new values."""
    clears_end: bool
    """Whether it takes the ``end_time`` away."""


def new_row(
    body: CronCreate | ThreadCronCreate,
    *,
    cron_id: str,
    assistant_id: str,
    thread_id: str | None,
    user_id: str | None,
    owner: Mapping[str, Any],
    now: int,
) -> dict[str, Any]:
    """The row of a new cron but for its workspace; `now` in microseconds. Raises UnprocessableInput, and BadInput for what no run could be made of."""
    given = _given(body)
    payload = {**given, "assistant_id": assistant_id, "config": _marked(given.get("config", {}), cron_id)}
    on_run_completed = (body.on_run_completed or "delete") if isinstance(body, CronCreate) else None
    row = {
        "cron_id": cron_id,
        "assistant_id": assistant_id,
        "thread_id": thread_id,
        "user_id": user_id,
        "schedule": body.schedule,
        "timezone": body.timezone,
        "end_time": _end_time(body.end_time),
        "payload": payload,
        "metadata": given.get("metadata", {}),
        "on_run_completed": on_run_completed,
        "enabled": body.enabled is not False,
        "owner": dict(owner),
        "created_at": now,
        "updated_at": now,
    }
    order_of(row)
    return {**row, "next_run_date": next_run_date(row, now)}


def judged_row(row: Mapping[str, Any], payload: Mapping[str, Any], metadata: dict[str, Any]) -> dict[str, Any]:
    """A new cron's row with the `metadata` that a handler has left and what its `payload` says of runs. Raises BadInput and
    UnprocessableInput when no run can be made of that."""
    whole = _judged(row["payload"], payload, metadata)
    whole["config"] = _marked(whole.get("config") or {}, row["cron_id"])
    judged = {**row, "metadata": metadata, "payload": whole}
    order_of(judged)
    return judged


def change_of(body: CronPatch) -> Change:
    """What `body` changes. Raises BadInput when it changes nothing, UnprocessableInput for keys that cannot be stored."""
    change = Change(_given(body), "end_time" in body.model_fields_set and body.end_time is None)
    if not change.given and not change.clears_end:
        raise BadInput("The request changes nothing: give at least one field of a cron.")
    return change


def judged_change(change: Change, payload: Mapping[str, Any], metadata: dict[str, Any]) -> Change:
    """`change` with the `metadata` that a handler has left and what its `payload` says of runs."""
    given = {**_judged(change.given, payload, metadata), "metadata": metadata}
    return Change(given if metadata else _without(given, "metadata"), change.clears_end)


def changed(row: Mapping[str, Any], change: Change, now: int) -> dict[str, Any]:
    """The columns of a cron that `change` changes. Raises what `new_row` raises.

    What concerns the time counts from now on: slots that went by while a cron was disabled are not made up for."""
    given, clears_end = change.given, change.clears_end
    changes: dict[str, Any] = {name: given[name] for name in OF_CRON if name in given}
    if "on_run_completed" in changes and row["thread_id"] is not None:
        raise UnprocessableInput("on_run_completed is about crons without a thread; this one's thread is kept.")
    if "end_time" in given or clears_end:
        changes["end_time"] = _end_time(given.get("end_time"))
    if "metadata" in given:
        changes["metadata"] = {**row["metadata"], **given["metadata"]}
    changes["payload"] = _amended(row["payload"], given, clears_end)
    whole = {**row, **changes}
    order_of(whole)
    if changes.keys() & {"schedule", "timezone", "end_time", "enabled"}:
        changes["next_run_date"] = next_run_date(whole, now)
    return {**changes, "updated_at": now}


def next_run_date(row: Mapping[str, Any], after: int) -> int | None:
    """When the cron fires next after `after` (microseconds); None when its end comes first. Raises UnprocessableInput."""
    slot = Schedule.parse(row["schedule"], row["timezone"]).next_after(after)
    return None if row["end_time"] is not None and slot > row["end_time"] else slot


def order_of(row: Mapping[str, Any], default_ttl: Ttl | None = None, *, send_webhook: bool = True) -> Order:
    """A run of the cron, as its owner. Raises BadInput and UnprocessableInput."""
    payload = row["payload"]
    given = {name: payload[name] for name in OF_RUN if name in payload}
    if not send_webhook:
        given.pop("webhook", None)
    given["assistant_id"] = row["assistant_id"]
    given["metadata"] = {**row["metadata"], **(payload.get("metadata") or {})}
    config = given.get("config") or {}
    # The server adds the id below; as a client's configurable it would be at odds with a context.
    configurable = {k: v for k, v in (config.get("configurable") or {}).items() if k != "cron_id"}
    given["config"] = {**config, "configurable": configurable}
    body: RunCreateStateful | RunCreateStateless
    if row["thread_id"] is None:
        given["on_completion"] = row["on_run_completed"]
        body = _body(RunCreateStateless, given)
    else:
        body = _body(RunCreateStateful, given)
    server_configurable = {**configurable_of_owner(row["owner"]), "cron_id": row["cron_id"]}
    return order_from(body, row["thread_id"], server_configurable, row["user_id"], default_ttl)


def _body(model: type[B], given: Mapping[str, Any]) -> B:
    """`given` as it is once it has been stored: an integer beyond 64 bits, for one, is none any more."""
    try:
        return model.model_validate_json(encode(given))
    except ValidationError as error:
        raise UnprocessableInput(describe(error)) from None


def _given(body: CronCreate | ThreadCronCreate | CronPatch) -> dict[str, Any]:
    """What a body says, without reserved keys and without fields that mean nothing here."""
    known = body.model_fields_set & type(body).model_fields.keys()
    given = {name: value for name, value in body.model_dump(exclude_unset=True).items() if name in known}
    given = {name: value for name, value in given.items() if value is not None}
    if "config" in given:
        given["config"] = strip_config({name: value for name, value in given["config"].items() if value is not None})
    if "context" in given:
        given["context"] = strip_context(given["context"])
    if "metadata" in given:
        given["metadata"] = strip_metadata(given["metadata"])
    return given


def _amended(payload: Mapping[str, Any], given: Mapping[str, Any], clears_end: bool) -> dict[str, Any]:
    """`payload` with what a change says of runs, and nothing in it that is no longer true of the cron."""
    amended = dict(payload)
    for name, value in given.items():
        if name == "config":
            amended[name] = _marked(value, payload["config"]["configurable"]["cron_id"])
        elif name == "metadata" and name in payload:
            amended[name] = {**payload[name], **value}
        elif name in OF_RUN or name in payload:
            amended[name] = value
    if clears_end:
        amended.pop("end_time", None)
    return amended


def _judged(known: Mapping[str, Any], payload: Mapping[str, Any], metadata: dict[str, Any]) -> dict[str, Any]:
    """The fields of `known` that are not about runs, and those of a handler's `payload` that are. Their metadata is the cron's:
    what a handler has put into that cannot be contradicted here."""
    fields = {name: value for name, value in known.items() if name not in OF_RUN}
    fields |= {name: payload[name] for name in OF_RUN if name in payload}
    return {**fields, "metadata": metadata} if "metadata" in fields else fields


def _marked(config: Mapping[str, Any], cron_id: str) -> dict[str, Any]:
    """A `config` with the cron's id."""
    return {**config, "configurable": {**(config.get("configurable") or {}), "cron_id": cron_id}}


def _without(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key != name}


def _end_time(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        if "T" not in text.upper() and " " not in text:
            raise ValueError("no time of day")
        moment = parse_iso(text)
        iso(moment)
    except (ValueError, OverflowError):
        raise UnprocessableInput(
            f"Invalid end_time {text[:100]!r}: it must be a moment in ISO 8601, like 2030-01-31T08:00:00+00:00."
        ) from None
    return moment
