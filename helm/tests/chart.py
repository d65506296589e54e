"""The chart as the tests see it: rendered by Helm's own engine, in the combinations of values that people run."""

import copy
import functools
from pathlib import Path

import helm_python as helm
import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm/nezuko"
PROFILES = sorted(path.stem for path in (CHART / "profiles").glob("*.yaml"))

# The least that every installation must say.
REQUIRED = {
    "image": {"repository": "registry.example.org/nezuko"},
    "bot": {"existingSecret": "nezuko-bot"},
    "redis": {"gateway": {"existingSecret": "redis-gateway"}, "worker": {"existingSecret": "redis-worker"}},
    "database": {"runtime": {"existingSecret": "database-runtime"}, "owner": {"existingSecret": "database-owner"}},
}
SEVERAL_BOTS = {"bot": {"existingSecret": ""}, "botsFile": {"existingSecret": "nezuko-bots"}}
PROMETHEUS = {
    "worker": {"autoscaling": {"enabled": True, "mode": "prometheus", "prometheus": {"serverAddress": "http://prometheus.monitoring:9090"}}},
    "serviceMonitor": {"enabled": True},
}
ASKED_WHO_IT_IS = {"worker": {"autoscaling": {"prometheus": {"authentication": "prometheus", "authModes": ["tls", "basic"]}}}}
REDIS_STREAMS = {
    "enabled": True,
    "mode": "redis-streams",
    "redisStreams": {"addresses": ["redis.example.org:6379"], "botIds": [123456789, 7000000001]},
}
NAMESPACE = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "elsewhere"}}}

# What a profile leaves to its user.
COMPLETIONS = {
    "minimal": {},
    "ha": {},
    "secure": {
        "image": {"digest": "sha256:" + "0" * 64},
        "settings": {"WEBHOOK_URL": "https://bot.example.org"},
        "ingress": {"host": "bot.example.org", "tlsSecret": "bot-tls"},
        "networkPolicy": {
            "webhookFrom": [NAMESPACE],
            "metricsFrom": [NAMESPACE],
            "redisTo": [NAMESPACE],
            "postgresTo": [NAMESPACE],
        },
    },
}


def merged(*layers):
    """Later values over earlier ones, maps merged, as Helm does with several -f."""
    result = {}
    for layer in layers:
        for key, value in layer.items():
            if isinstance(value, dict) and isinstance(result.get(key), dict):
                value = merged(result[key], value)
            result[key] = copy.deepcopy(value)
    return result


def profile(name):
    """A profile with what its user must add."""
    return merged(REQUIRED, yaml.safe_load((CHART / f"profiles/{name}.yaml").read_text()), COMPLETIONS[name])


def variants():
    """Every profile, and values that take the templates' other branches, by name."""
    found = {name: profile(name) for name in PROFILES}
    found["several bots, scaled by Redis"] = merged(
        REQUIRED,
        SEVERAL_BOTS,
        {
            "worker": {"autoscaling": REDIS_STREAMS, "tolerations": [{"key": "spot", "operator": "Exists"}]},
            "gateway": {"nodeSelector": {"disk": "any"}, "priorityClassName": "urgent", "podAnnotations": {"a": "b"}},
            "authorities": {"existingConfigMap": "authorities", "systemKey": "all.pem"},
            "image": {"pullSecrets": ["registry"]},
        },
    )
    for kind in ("sentinel", "cluster"):
        redis = {"redisStreams": {"kind": kind, "sentinelMaster": "nezuko", "authentication": "redis", "tls": True}}
        found[f"scaled by a Redis {kind}"] = merged(REQUIRED, {"worker": {"autoscaling": merged(REDIS_STREAMS, redis)}})
    found["scaled by Prometheus"] = merged(REQUIRED, PROMETHEUS)
    found["scaled by a Prometheus that asks who it is"] = merged(REQUIRED, PROMETHEUS, ASKED_WHO_IT_IS)
    found["traces and reports"] = merged(
        REQUIRED,
        {
            "settings": {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.monitoring:4318", "OTEL_TRACES_SAMPLER_ARG": 0.1},
            "sentry": {"existingSecret": "sentry"},
        },
    )
    found["ids that the cluster gives"] = merged(REQUIRED, {"podSecurity": {"fixedIds": False}})
    found["nothing that is optional"] = merged(
        REQUIRED, {"migrate": {"enabled": False}, "networkPolicy": {"enabled": False}, "database": {"owner": {"existingSecret": ""}}}
    )
    return found


@functools.cache
def loaded():
    return helm.Chart.load(str(CHART))


def render_files(values, namespace="nezuko", release="nezuko"):
    """The rendered text of each template, by its path in the chart."""
    files = loaded().render(values, name=release, namespace=namespace)
    return {path.removeprefix("nezuko/templates/"): text for path, text in files.items()}


def render(values, **where):
    """The rendered objects."""
    files = render_files(values, **where)
    return [entry for path, text in files.items() if path.endswith(".yaml") for entry in yaml.safe_load_all(text) if entry]


def find(objects, kind, name):
    """The one object of that kind and name."""
    (found,) = [entry for entry in objects if entry["kind"] == kind and entry["metadata"]["name"] == name]
    return found


def pods(objects):
    """Name and pod (metadata and spec) of everything that makes pods."""
    for entry in objects:
        name = f"{entry['kind']}/{entry['metadata']['name']}"
        if entry["kind"] == "Pod":
            yield name, entry
        elif entry["kind"] in ("Deployment", "Job"):
            yield name, entry["spec"]["template"]
