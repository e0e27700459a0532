"""The ERP's refusals: each is raised where it is found and turned into an answer at the instance's door.

The body is ASP.NET's HttpError in camel case. Stack traces are plausible, not the vendor's: no client can rely on
frames that change with every build.
"""

import json

from deploy.sandbox.answer import Answer

_NAMESPACE = "PX.Api.ContractBased"
_OUTER_FRAMES = (
    f"{_NAMESPACE}.EntityService.GetList(String endpoint, String version, String entity, EntityQuery query)",
    f"{_NAMESPACE}.WebApi.Controllers.EntityController.Get(String objectName, EntityQuery query)",
    "System.Web.Http.Controllers.ReflectedHttpActionDescriptor.ExecuteAsync(HttpControllerContext controllerContext)",
    "System.Web.Http.Dispatcher.HttpControllerDispatcher.SendAsync(HttpRequestMessage request)",
)


class Refusal(Exception):
    """A request that the ERP does not serve: its status, and the JSON object that is the body."""

    def __init__(self, status: int, body: dict[str, object]) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body

    def answer(self) -> Answer:
        """The refusal as it goes over the wire."""
        text = json.dumps(self.body, ensure_ascii=False, separators=(",", ":"))
        return Answer(self.status, text.encode("utf-8", "replace"))


def _server_error(message: str, exception_type: str, innermost: str, status: int = 500) -> Refusal:
    frames = (innermost, *_OUTER_FRAMES)
    return Refusal(
        status,
        {
            "message": "An error has occurred.",
            "exceptionMessage": message,
            "exceptionType": exception_type,
            "stackTrace": "\r\n".join(f"   at {frame}" for frame in frames),
        },
    )


def cannot_optimize(causes: list[str]) -> Refusal:
    """The failure of list requests that the optimizer cannot turn into one query (recorded 2022 R1, 2024 R1).

    Each cause is one line, `Entity.Field: reason`.
    """
    return _server_error(
        "Optimization cannot be performed.The following fields cause the error:\r\n"
        + "".join(f"{cause}\r\n" for cause in causes),
        f"{_NAMESPACE}.OptimizedExport.CannotOptimizeException",
        f"{_NAMESPACE}.OptimizedExport.NotWorkingOptimizedExportProvider.get_CanOptimize()",
    )


def no_entity(status: int) -> Refusal:
    """A record that does not exist: status 500 (reported by live instances), or 404 on some (also reported)."""
    return _server_error(
        "No entity satisfies the condition.",
        f"{_NAMESPACE}.NoEntitySatisfiesTheConditionException",
        f"{_NAMESPACE}.EntityService.GetEntity(EntityImpl template, EntityQuery query)",
        status,
    )


def unknown_name() -> Refusal:
    """A field that the entity lacks, in `$select`, `$expand` or `$custom` (reported by live instances: not a 400)."""
    return _server_error(
        "The given key was not present in the dictionary.",
        "System.Collections.Generic.KeyNotFoundException",
        "System.ThrowHelper.ThrowKeyNotFoundException()",
    )


def bad_filter(message: str) -> Refusal:
    """A `$filter` that the OData library does not take (reported by live instances: 500)."""
    return _server_error(
        message,
        "Microsoft.Data.OData.ODataException",
        "Microsoft.Data.OData.Query.UriQueryExpressionParser.ParseFilter(String filter)",
    )


def incompatible_types(field_type: str, literal_type: str, operator: str) -> Refusal:
    """A literal of another type than the field's, such as `'false'` for a boolean (reported: 500)."""
    return bad_filter(
        "A binary operator with incompatible types was detected. "
        f"Found operand types '{field_type}' and '{literal_type}' for operator kind '{operator}'."
    )


def bad_option(name: str, value: str) -> Refusal:
    """A `$top` or `$skip` that is not a count. Not recorded: ASP.NET answers 400 to a parameter it cannot bind."""
    return Refusal(
        400,
        {
            "message": "The request is invalid.",
            "modelState": {name: [f"The value '{value}' is not valid for {name}."]},
        },
    )


def bad_body(field: str, words: str) -> Refusal:
    """A body that ASP.NET cannot bind. Not recorded: the shape is its usual one."""
    return Refusal(400, {"message": "The request is invalid.", "modelState": {f"entity.{field}": [words]}})


def precondition_failed() -> Refusal:
    """A record that is there against `If-None-Match`, or not there against `If-Match` (documented; no body is)."""
    return Refusal(412, {"message": "The precondition is not satisfied."})


def ambiguous() -> Refusal:
    """A `$filter` of a PUT that finds more than one record. The text was never captured."""
    return _server_error(
        "More than one entity satisfies the condition.",
        f"{_NAMESPACE}.MoreThanOneEntitySatisfiesTheConditionException",
        f"{_NAMESPACE}.EntityService.Put(EntityImpl entity, EntityQuery query)",
    )


def has_errors(title: str, inserted: bool, errors: list[str]) -> Refusal:
    """A save that failed, in the form of older builds (recorded: 500)."""
    return _server_error(
        f"{raised(title, inserted)}\n" + "\n".join(errors),
        f"{_NAMESPACE}.OutcomeEntityHasErrorsException",
        f"{_NAMESPACE}.EntityService.Put(EntityImpl entity, EntityQuery query)",
    )


def raised(title: str, inserted: bool) -> str:
    """The ERP's sentence for a record that could not be saved (recorded, two blanks included)."""
    doing = "Inserting " if inserted else "Updating "
    return f"{doing} '{title}' record raised at least one error. Please review the errors."


def not_found(what: str) -> Refusal:
    """An entity or file that the endpoint does not have: 404 (reported); the body was never captured."""
    return Refusal(404, {"message": f"No HTTP resource was found that matches the request: {what}."})
