"""How an endpoint describes itself: `swagger.json` and `$adHocSchema`."""

import json

from deploy.sandbox.answer import Answer
from deploy.sandbox.instance import Instance
from deploy.sandbox.refusal import not_found
from deploy.sandbox.schema import Contract
from deploy.sandbox.skeleton import skeleton
from deploy.sandbox.swagger import older, openapi


def swagger(instance: Instance, contract: Contract, origin: str) -> Answer:
    """The endpoint in OpenAPI, in the build's form of it; `origin` is the address of the host."""
    base = instance.base(contract)
    document = openapi(contract, f"{origin}{base}")
    if instance.build.openapi == "2.0":
        document = older(document, base)
    return Answer(200, json.dumps(document, separators=(",", ":")).encode())


def ad_hoc_schema(instance: Instance, contract: Contract, entity: str) -> Answer:
    """An entity's empty record, with the user-defined fields that no `swagger.json` tells."""
    definition = contract.entities.get(entity)
    if definition is None:
        return not_found(f"entity {entity}").answer()
    return Answer(200, skeleton(definition, instance.build.newer))
