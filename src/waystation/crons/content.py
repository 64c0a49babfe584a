"""What a cron consists of: how it comes from a request, changes, and becomes the order of a run (spec 12).

``payload`` is the body that made the cron, kept true by changes to it: what a run of the cron is made from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

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

__all__ = ["changed", "new_row", "next_run_date", "order_of"]

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
    """The row of a new cron; `now` in microseconds. Raises UnprocessableInput, and BadInput for what no run could be made of."""
    given = _given(body)
    configurable = {**(given.get("config", {}).get("configurable") or {}), "cron_id": cron_id}
    payload = {
        **given,
        "assistant_id": assistant_id,
        "config": {**given.get("config", {}), "configurable": configurable},
    }
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


def changed(row: Mapping[str, Any], body: CronPatch, now: int) -> dict[str, Any]:
    """The columns of a cron that `body` changes. Raises BadInput when there are none, and what `new_row` raises.

    What concerns the time counts from now on: slots that went by while a cron was disabled are not made up for."""
    given = _given(body)
    clears_end = "end_time" in body.model_fields_set and body.end_time is None
    if not given and not clears_end:
        raise BadInput("The request changes nothing: give at least one field of a cron.")
    changes: dict[str, Any] = {name: given[name] for name in OF_CRON if name in given}
    if "on_run_completed" in changes and row["thread_id"] is not None:
        raise UnprocessableInput("on_run_completed is about crons without a thread; this one's thread is kept.")
    if "end_time" in given or clears_end:
        changes["end_time"] = _end_time(body.end_time)
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
    server_configurable = {**row["owner"], "cron_id": row["cron_id"]}
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
            configurable = {
                **(value.get("configurable") or {}),
                "cron_id": (payload["config"].get("configurable") or {}).get("cron_id"),
            }
            amended[name] = {**value, "configurable": configurable}
        elif name == "metadata" and name in payload:
            amended[name] = {**payload[name], **value}
        elif name in OF_RUN or name in payload:
            amended[name] = value
    if clears_end:
        amended.pop("end_time", None)
    return amended


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
