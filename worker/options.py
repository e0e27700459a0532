"""What options of a command say of a job, as the job's JSON. What cannot be read raises click's BadParameter."""

from __future__ import annotations

import json
from typing import IO, Any

import click


def job_fields(
    entity: str | None,
    keys: tuple[str, ...],
    texts: tuple[str, ...],
    values_as_json: tuple[str, ...],
    attachments: bool,
    **others: Any,
) -> dict[str, Any]:
    """The part of a job's JSON that the options say; what they do not say is left out."""
    params = dict(named(text, "--param") for text in texts)
    for text in values_as_json:
        name, value = named(text, "--param-json")
        params[name] = value_of(value, "--param-json")
    said = {
        "entity": entity,
        "keys": list(keys) or None,
        "params": params or None,
        "attachments": attachments or None,
        **{name: listed(value) if isinstance(value, tuple) else value for name, value in others.items()},
    }
    return {name: value for name, value in said.items() if value is not None}


def named(text: str, option: str) -> tuple[str, Any]:
    """The name and the value of NAME=VALUE."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.BadParameter(f"{text!r} is not NAME=VALUE", param_hint=option)
    return name, value


def listed(texts: tuple[str, ...]) -> list[str] | None:
    """The parts between commas; none at all where the option was given nothing, None where it was not given."""
    return [part.strip() for text in texts for part in text.split(",") if part.strip()] if texts else None


def document(body: IO[bytes] | None) -> dict[str, Any]:
    """A job's JSON in a file; nothing where there is none."""
    if body is None:
        return {}
    document = value_of(body.read(), "--json")
    if not isinstance(document, dict):
        raise click.BadParameter(
            'a job is a JSON object such as {"entity": "SalesOrder"}', param_hint="--json"
        )
    return document


def value_of(text: str | bytes, option: str) -> Any:
    """A JSON value."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise click.BadParameter(f"not JSON: {error}", param_hint=option) from None
