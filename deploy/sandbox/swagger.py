"""An endpoint's `swagger.json`: OpenAPI 3.0.1, and for the oldest build OpenAPI 2.0 with the same content.

Which paths there are, the base of all entities and the wrappers of values are documented; summaries are left out, as
nothing but people reads them. User-defined fields are in no such document.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from deploy.sandbox.schema import LINKED, Contract, Entity, TopLevel

Json = dict[str, Any]

_SCHEMAS: Final = "#/components/schemas/"
_VALUES: Final[Mapping[str, Json]] = {
    "Boolean": {"type": "boolean"},
    "Byte": {"type": "integer", "format": "int32"},
    "DateTime": {"type": "string", "format": "date-time"},
    "Decimal": {"type": "number", "format": "double"},
    "Double": {"type": "number", "format": "double"},
    "Guid": {"type": "string", "format": "uuid"},
    "Int": {"type": "integer", "format": "int32"},
    "Long": {"type": "integer", "format": "int64"},
    "Short": {"type": "integer", "format": "int32"},
    "String": {"type": "string"},
}
_OPTIONS: Final = ("select", "filter", "expand", "custom", "skip", "top")
_ONE: Final = ("select", "expand", "custom")
_ERRORS: Final = {
    "400": "Bad request",
    "401": "Unauthorized",
    "412": "Precondition failed",
    "429": "Too many requests",
}


def openapi(contract: Contract, base: str) -> Json:
    """The document; `base` is the endpoint's address."""
    return {
        "openapi": "3.0.1",
        "info": {"title": f"{contract.name}/{contract.version}", "version": "4"},
        "servers": [{"url": base}],
        "paths": dict(_paths(contract)),
        "components": {"schemas": _schemas(contract), "parameters": _parameters()},
        "tags": [
            {"name": name, "description": f"{entity.form.screen} ({entity.form.screen_id})"}
            for name, entity in contract.entities.items()
        ],
    }


def _paths(contract: Contract) -> Iterator[tuple[str, Json]]:
    for name, entity in contract.entities.items():
        yield (
            f"/{name}",
            {
                "get": _operation(name, "GetList", _OPTIONS, _list_of(name)),
                "put": _operation(name, "PutEntity", (*_ONE, "filter"), _ref(name), _ref(name)),
            },
        )
        yield f"/{name}/{{ids}}", _record(name, "Keys", "ids")
        yield f"/{name}/{{id}}", _record(name, "Id", "id")
        put_file = _operation(
            name, "PutFile", ("ids", "filename"), None, {"type": "string", "format": "binary"}
        )
        yield f"/{name}/{{ids}}/files/{{filename}}", {"put": put_file}
        yield f"/{name}/$adHocSchema", {"get": _operation(name, "GetAdHocSchema", (), _ref(name))}
        for action in entity.actions:
            yield (
                f"/{name}/{action}",
                {"post": _operation(name, f"InvokeAction_{action}", (), None, _ref(action))},
            )
        custom = _operation(name, "InvokeAction_Custom", ("actionName",), None, _ref("CustomAction"))
        yield f"/{name}/{{actionName}}", {"post": custom}


def _record(name: str, by: str, parameter: str) -> Json:
    """What can be done to one record, found by its keys or by its id."""
    return {
        "get": _operation(name, f"GetBy{by}", (parameter, *_ONE), _ref(name)),
        "delete": _operation(name, f"DeleteBy{by}", (parameter,), None),
    }


def _operation(
    name: str, what: str, parameters: tuple[str, ...], answer: Json | None, body: Json | None = None
) -> Json:
    """One operation; without an answer it ends with 204."""
    kind = "application/octet-stream" if what == "PutFile" else "application/json"
    success: Json = {"204": {"description": "Success"}}
    if answer is not None:
        success = {"200": {"description": "Success", "content": {"application/json": {"schema": answer}}}}
    elif what.startswith("InvokeAction"):
        success = {"202": {"description": "The operation is in progress"}, **success}
    problem = {"content": {"application/json": {"schema": _ref("HttpError")}}}
    errors = {status: {"description": words, **problem} for status, words in _errors(what).items()}
    found: Json = {
        "tags": [name],
        "operationId": f"{name}_{what}",
        "parameters": [{"$ref": f"#/components/parameters/{each}"} for each in parameters],
        "responses": {**success, **errors},
    }
    if body is not None:
        found["requestBody"] = {"content": {kind: {"schema": body}}, "required": True}
    return found


def _errors(what: str) -> Mapping[str, str]:
    checked = what == "PutEntity" or what.startswith("InvokeAction")
    return {**_ERRORS, **({"422": "Unprocessable entity"} if checked else {}), "500": "Internal server error"}


def _schemas(contract: Contract) -> Json:
    found: Json = {
        "Entity": _base(),
        "FileLink": _file_link(),
        "HttpError": _http_error(),
        "CustomField": _custom_field(),
    }
    found["CustomAction"] = _object({"entity": _ref("Entity"), "parameters": {"type": "object"}})
    found |= {f"{kind}Value": _object({"value": value}) for kind, value in _VALUES.items()}
    for entity in contract.entities.values():
        _add(found, entity)
        for action, parameters in entity.actions.items():
            found[action] = _action(entity, parameters)
    return found


def _add(found: Json, entity: Entity) -> None:
    """The schema of an entity and of what is nested in it."""
    if entity.name in found:
        return
    properties: Json = {}
    found[entity.name] = {"allOf": [_ref("Entity"), _object(properties)]}
    for name, field in entity.fields.items():
        if field.nested is None:
            properties[name] = _ref(f"{field.kind}Value")
            continue
        properties[name] = _ref(field.nested.name) if field.kind == LINKED else _list_of(field.nested.name)
        _add(found, field.nested)


def _action(entity: TopLevel, parameters: Mapping[str, str]) -> Json:
    typed = _object({name: _ref(f"{kind}Value") for name, kind in parameters.items()})
    return {**_object({"entity": _ref(entity.name), "parameters": typed}), "required": ["entity"]}


def _base() -> Json:
    views = {
        "type": "object",
        "additionalProperties": {"type": "object", "additionalProperties": _ref("CustomField")},
    }
    return _object(
        {
            "id": {"type": "string", "format": "uuid"},
            "rowNumber": {"type": "integer", "format": "int64"},
            "note": _ref("StringValue"),
            "custom": views,
            "error": {"type": "string", "readOnly": True},
            "files": {"type": "array", "items": _ref("FileLink")},
            "_links": {"type": "object", "additionalProperties": {"type": "string"}, "readOnly": True},
        }
    )


def _file_link() -> Json:
    names = ("filename", "href", "comment")
    return _object(
        {"id": {"type": "string", "format": "uuid"}, **{name: {"type": "string"} for name in names}}
    )


def _http_error() -> Json:
    names = ("message", "exceptionMessage", "exceptionType", "stackTrace")
    return _object({name: {"type": "string"} for name in names})


def _custom_field() -> Json:
    return _object({"type": {"type": "string"}, "value": {"type": "object"}})


def _object(properties: Json) -> Json:
    return {"type": "object", "properties": properties}


def _ref(name: str) -> Json:
    return {"$ref": f"{_SCHEMAS}{name}"}


def _list_of(name: str) -> Json:
    return {"type": "array", "items": _ref(name)}


def _parameters() -> Json:
    in_path: Json = {name: _parameter(name, "path", "string") for name in ("ids", "filename", "actionName")}
    in_path["id"] = {**_parameter("id", "path", "string"), "schema": {"type": "string", "format": "uuid"}}
    in_query = {name: _parameter(f"${name}", "query", "string") for name in _OPTIONS[:4]}
    counts = {name: _parameter(f"${name}", "query", "integer") for name in _OPTIONS[4:]}
    return {**in_path, **in_query, **counts}


def _parameter(name: str, place: str, kind: str) -> Json:
    return {"name": name, "in": place, "required": place == "path", "schema": {"type": kind}}


def older(document: Json, path: str) -> Json:
    """The same as OpenAPI 2.0, where schemas are `definitions` and a body is a parameter; `path` is the endpoint's."""
    paths = {
        at: {method: _older(each) for method, each in item.items()} for at, item in document["paths"].items()
    }
    parameters = {
        name: {**{key: value for key, value in each.items() if key != "schema"}, **each["schema"]}
        for name, each in document["components"]["parameters"].items()
    }
    found: Json = _renamed(
        {
            "swagger": "2.0",
            "info": document["info"],
            "basePath": path,
            "consumes": ["application/json"],
            "produces": ["application/json"],
            "paths": paths,
            "definitions": document["components"]["schemas"],
            "parameters": parameters,
            "tags": document["tags"],
        }
    )
    return found


def _older(operation: Json) -> Json:
    responses = {}
    for status, response in operation["responses"].items():
        content = response.get("content", {}).get("application/json", {})
        responses[status] = {"description": response["description"], **content}
    parameters = list(operation["parameters"])
    for content in operation.get("requestBody", {}).get("content", {}).values():
        parameters.append({"name": "body", "in": "body", "required": True, **content})
    kept = {name: operation[name] for name in ("tags", "operationId")}
    return {**kept, "parameters": parameters, "responses": responses}


def _renamed(value: Any) -> Any:
    """With the references that OpenAPI 2.0 has."""
    if isinstance(value, dict):
        return {name: _renamed(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_renamed(inner) for inner in value]
    if isinstance(value, str) and value.startswith("#/components/"):
        return value.replace("#/components/schemas/", "#/definitions/").replace(
            "#/components/parameters/", "#/parameters/"
        )
    return value
