"""Makes the schemas in this directory from the models of the operators' custom resources:

    pip install cloudcoil.models.keda==2.16.1.0 cloudcoil.models.prometheus_operator==0.80.1.0
    python helm/tests/schemas/make.py

They are made strict: what a resource does not know is refused, and so is null.
"""

import json
from pathlib import Path

from cloudcoil.models.keda.v1alpha1 import ScaledObject
from cloudcoil.models.prometheus_operator.v1 import PrometheusRule, ServiceMonitor


def strict(schema):
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    choices = [each for each in schema.get("anyOf", []) if each != {"type": "null"}]
    if len(choices) == 1:
        return strict(choices[0])
    unneeded = ("description", "title", "default")
    schema = {key: strict(value) for key, value in schema.items() if key not in unneeded or isinstance(value, dict)}
    if isinstance(schema.get("pattern"), str):
        # Go lets flags stand anywhere, Python only at the beginning.
        schema["pattern"] = schema["pattern"].replace("^(?i)", "(?i)^")
    if schema.get("type") == "object" and "properties" in schema:
        schema["additionalProperties"] = False
    return schema


for model in (ScaledObject, ServiceMonitor, PrometheusRule):
    schema = strict(model.model_json_schema(by_alias=True))
    schema["required"] = ["apiVersion", "kind", "metadata", "spec"]
    Path(__file__).with_name(f"{model.__name__}.json").write_text(json.dumps(schema, indent=1, sort_keys=True) + "\n")
