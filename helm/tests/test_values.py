"""Values that must be refused, and the words in which they are."""

import unittest

import helm_python as helm

from chart import PROMETHEUS, REDIS_STREAMS, REQUIRED, SEVERAL_BOTS, merged, profile, render

WRONG = {
    "nothing is given": ({"image": {"repository": ""}}, "/image/repository"),
    "the image has a tag in it that moves": ({"image": {"tag": "latest"}}, "/image/tag"),
    "the image has a tag in its name": ({"image": {"repository": "registry.example.org/nezuko:1"}}, "/image/repository"),
    "the image has a tag in its name, and no registry": ({"image": {"repository": "nezuko:1"}}, "/image/repository"),
    "the image has a digest in its name": ({"image": {"repository": "nezuko@sha256:" + "0" * 64}}, "/image/repository"),
    "a digest is none": ({"image": {"digest": "sha256:abc"}}, "/image/digest"),
    "no bot": ({"bot": {"existingSecret": ""}}, "/bot/existingSecret"),
    "one bot and several": ({"botsFile": {"existingSecret": "bots"}}, "/bot/existingSecret"),
    "a previous secret beside a file": (
        merged(SEVERAL_BOTS, {"bot": {"webhookSecretPreviousKey": "old"}}),
        "/bot/webhookSecretPreviousKey",
    ),
    "no Redis": ({"redis": {"worker": {"existingSecret": ""}}}, "/redis/worker/existingSecret"),
    "no database": ({"database": {"runtime": {"existingSecret": ""}}}, "/database/runtime/existingSecret"),
    "a migration without its owner": ({"database": {"owner": {"existingSecret": ""}}}, "/database/owner/existingSecret"),
    "a token in the values": ({"bot": {"token": "123:abc"}}, "/bot"),
    "a secret among the settings": ({"settings": {"BOT_TOKEN": "123:abc"}}, "/settings"),
    "a port among the settings": ({"settings": {"PORT": 80}}, "/settings"),
    "an address in brackets to listen on": ({"settings": {"BIND": "[::]"}}, "/settings/BIND"),
    "an address to listen on that nobody reaches": ({"settings": {"BIND": "127.0.0.1"}}, "/settings/BIND"),
    "a setting in the rest of the environment": ({"worker": {"extraEnv": [{"name": "LOG_LEVEL", "value": "info"}]}}, "/worker/extraEnv/0/name"),
    "a secret in the rest of the environment": ({"gateway": {"extraEnv": [{"name": "BOT_TOKEN_FILE", "value": "/x"}]}}, "/gateway/extraEnv/0/name"),
    "an environment of nothing": ({"migrate": {"extraEnv": [{"name": "HTTPS_PROXY"}]}}, "/migrate/extraEnv/0"),
    "a number in the environment": ({"worker": {"extraEnv": [{"name": "NICE", "value": 1}]}}, "/worker/extraEnv/0/value"),
    "a misspelt level": ({"settings": {"LOG_LEVEL": "inof"}}, "/settings/LOG_LEVEL"),
    "a misspelt level of a module": ({"settings": {"LOG_LEVEL": "info,nezuko_worker=debgu"}}, "/settings/LOG_LEVEL"),
    "a module without a level": ({"settings": {"LOG_LEVEL": "info,nezuko_worker"}}, "/settings/LOG_LEVEL"),
    "a webhook by http": ({"settings": {"WEBHOOK_URL": "http://bot.example.org"}}, "/settings/WEBHOOK_URL"),
    "a webhook at a port that Telegram does not call": ({"settings": {"WEBHOOK_URL": "https://bot.example.org:8080"}}, "/settings/WEBHOOK_URL"),
    "a webhook by http for Telegram by name": (
        {"settings": {"WEBHOOK_URL": "http://bot.example.org", "TELEGRAM_API_URL": "https://api.telegram.org/"}},
        "/settings/WEBHOOK_URL",
    ),
    "a misspelt setting": ({"settings": {"MAX_BAKLOG": 1}}, "/settings"),
    "a grace period out of range": ({"settings": {"SHUTDOWN_GRACE_SECONDS": 601}}, "/settings/SHUTDOWN_GRACE_SECONDS"),
    "too many replicas of Redis": ({"settings": {"REDIS_WAIT_REPLICAS": 10}}, "/settings/REDIS_WAIT_REPLICAS"),
    "a misspelt value": ({"gatewey": {}}, "gatewey"),
    "no worker at all": ({"worker": {"replicas": 0}}, "/worker/replicas"),
    "workers that scale to none": ({"worker": {"autoscaling": {"minReplicas": 0}}}, "/worker/autoscaling/minReplicas"),
    "an unknown way to scale": ({"worker": {"autoscaling": {"mode": "none"}}}, "/worker/autoscaling/mode"),
    "Prometheus without its address": (
        merged(PROMETHEUS, {"worker": {"autoscaling": {"prometheus": {"serverAddress": ""}}}}),
        "/worker/autoscaling/prometheus/serverAddress",
    ),
    "a Prometheus that would be told nothing": (
        merged(PROMETHEUS, {"worker": {"autoscaling": {"prometheus": {"authentication": "prometheus"}}}}),
        "/worker/autoscaling/prometheus/authModes",
    ),
    "a Prometheus that is told of nobody": (
        merged(PROMETHEUS, {"worker": {"autoscaling": {"prometheus": {"authModes": ["basic"]}}}}),
        "/worker/autoscaling/prometheus/authModes",
    ),
    "a way to say who one is that KEDA does not know": (
        merged(PROMETHEUS, {"worker": {"autoscaling": {"prometheus": {"authentication": "prometheus", "authModes": ["kerberos"]}}}}),
        "/worker/autoscaling/prometheus/authModes",
    ),
    "Prometheus without anything to scrape": (
        merged(PROMETHEUS, {"serviceMonitor": {"enabled": False}}),
        "/serviceMonitor/enabled",
    ),
    "alerts without anything to count": ({"prometheusRule": {"enabled": True}}, "/serviceMonitor/enabled"),
    "a runbook that names a section": (
        merged(profile("ha"), {"prometheusRule": {"runbookUrl": "https://git.example.org/runbook.md#alerts"}}),
        "/prometheusRule/runbookUrl",
    ),
    "dashboards that no sidecar finds": ({"dashboards": {"labels": {"grafana_dashboard": None}}}, "/dashboards/labels"),
    "traces that no policy lets out": (
        merged(profile("secure"), {"settings": {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}}),
        "networkPolicy.collectorTo",
    ),
    "reports that no policy lets out": (merged(profile("secure"), {"sentry": {"existingSecret": "sentry"}}), "networkPolicy.sentryTo"),
    "traces to a port that no policy opens": (
        {"settings": {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317/below"}},
        "networkPolicy.collectorPorts must contain 4317, the port of settings.OTEL_EXPORTER_OTLP_ENDPOINT",
    ),
    "traces by http to no port": ({"settings": {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://[2001:db8::4318]"}}, "collectorPorts must contain 80,"),
    "traces by https to no port": ({"settings": {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector"}}, "collectorPorts must contain 443,"),
    "a Bot API server at a port that no policy opens": (
        {"settings": {"TELEGRAM_API_URL": "http://bot-api:8081"}},
        "networkPolicy.telegramPorts must contain 8081, the port of settings.TELEGRAM_API_URL",
    ),
    "the port of Telegram closed": ({"networkPolicy": {"telegramPorts": [8081]}}, "networkPolicy.telegramPorts must contain 443,"),
    "more traces than there are": ({"settings": {"OTEL_TRACES_SAMPLER_ARG": 2}}, "/settings/OTEL_TRACES_SAMPLER_ARG"),
    "Redis streams of no bot": (
        {"worker": {"autoscaling": merged(REDIS_STREAMS, {"redisStreams": {"botIds": []}})}},
        "/worker/autoscaling/redisStreams/botIds",
    ),
    "Redis streams nowhere": (
        {"worker": {"autoscaling": merged(REDIS_STREAMS, {"redisStreams": {"addresses": []}})}},
        "/worker/autoscaling/redisStreams/addresses",
    ),
    "one Redis at two addresses": (
        {"worker": {"autoscaling": merged(REDIS_STREAMS, {"redisStreams": {"addresses": ["a:1", "b:2"]}})}},
        "/worker/autoscaling/redisStreams/addresses",
    ),
    "Sentinels without a master's name": (
        {"worker": {"autoscaling": merged(REDIS_STREAMS, {"redisStreams": {"kind": "sentinel"}})}},
        "/worker/autoscaling/redisStreams/sentinelMaster",
    ),
    "an ingress without a host": ({"ingress": {"enabled": True, "tlsSecret": "tls"}}, "/ingress/host"),
    "an ingress without TLS": ({"ingress": {"enabled": True, "host": "bot.example.org"}}, "/ingress/tlsSecret"),
    "an authority of no ConfigMap": ({"authorities": {"systemKey": "all.pem"}}, "/authorities/existingConfigMap"),
    "strict policies with an open end": ({"networkPolicy": {"strict": True}}, "/networkPolicy/redisTo"),
    "strict policies that let anybody answer for names": (merged(profile("secure"), {"networkPolicy": {"dnsTo": []}}), "/networkPolicy/dnsTo"),
    "strict policies that are off": (merged(profile("secure"), {"networkPolicy": {"enabled": False}}), "/networkPolicy/enabled"),
    "ids that are neither fixed nor not": ({"podSecurity": {"fixedIds": 65532}}, "/podSecurity/fixedIds"),
    "a migration without any time": ({"migrate": {"activeDeadlineSeconds": 59}}, "/migrate/activeDeadlineSeconds"),
    "a pod without requests": ({"worker": {"resources": {"requests": None}}}, "/worker/resources"),
    "more gateways at least than at most": (
        {"gateway": {"autoscaling": {"enabled": True, "minReplicas": 11}}},
        "gateway.autoscaling: minReplicas (11) is greater than maxReplicas (10)",
    ),
    "a fallback beyond the most": (
        {"worker": {"autoscaling": {"enabled": True, "fallbackReplicas": 11}}},
        "fallbackReplicas (11) must lie between minReplicas (2) and maxReplicas (10)",
    ),
    "a webhook that leads past the ingress": (
        merged(profile("secure"), {"settings": {"WEBHOOK_URL": "https://elsewhere.example.org"}}),
        "WEBHOOK_URL must lead to ingress.host",
    ),
    "a webhook below a path that the ingress does not know": (
        merged(profile("secure"), {"settings": {"WEBHOOK_URL": "https://bot.example.org/below"}}),
        "WEBHOOK_URL must have no path",
    ),
}


class Values(unittest.TestCase):
    def test_what_is_wrong_is_refused_and_named(self):
        for name, (values, said) in WRONG.items():
            with self.subTest(name):
                with self.assertRaises(helm.HelmError) as refused:
                    render(merged(REQUIRED, values))
                self.assertIn(said, str(refused.exception))

    def test_all_that_is_missing_is_named_at_once(self):
        with self.assertRaises(helm.HelmError) as refused:
            render({})
        for said in ("/image/repository", "/redis/gateway", "/redis/worker", "/database/runtime", "/database/owner", "/bot"):
            self.assertIn(said, str(refused.exception))

    def test_all_that_does_not_fit_is_named_at_once(self):
        wrong = {
            "settings": {"WEBHOOK_URL": "https://elsewhere.example.org/below", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317"},
            "worker": {"autoscaling": {"enabled": True, "maxReplicas": 3}},
            "gateway": {"autoscaling": {"enabled": True, "minReplicas": 11}},
        }
        with self.assertRaises(helm.HelmError) as refused:
            render(merged(profile("secure"), wrong))
        for said in (
            "gateway.autoscaling: minReplicas (11)",
            "fallbackReplicas (4) must lie between",
            "networkPolicy.collectorTo",
            "networkPolicy.collectorPorts must contain 4317",
            "must lead to ingress.host",
            "must have no path",
        ):
            self.assertIn(said, str(refused.exception))

    def test_settings_that_the_programs_take_are_taken(self):
        for settings in (
            {"LOG_LEVEL": "WARN"},
            {"LOG_LEVEL": "info,nezuko_worker=debug,nezuko_shared::queue=off"},
            *({"WEBHOOK_URL": f"https://{host}"} for host in ("bot.example.org:8443", "bot.example.org:88/", "[2001:db8::1]:443", "bot.example.org/a/b")),
            {"WEBHOOK_URL": "http://bot.example.org:8080", "TELEGRAM_API_URL": "https://bot-api.example.org"},
        ):
            with self.subTest(settings):
                self.assertTrue(render(merged(REQUIRED, {"settings": settings})))
        for repository in ("nezuko", "localhost:5000/nezuko", "registry.example.org/a/b_c/nezuko", "ghcr.io/some-one/nezuko"):
            with self.subTest(repository):
                self.assertTrue(render(merged(REQUIRED, {"image": {"repository": repository}})))

    def test_how_far_is_scaled_matters_where_somebody_scales(self):
        for scaling in ({"maxReplicas": 3}, {"minReplicas": 5}, {"minReplicas": 11}):
            self.assertTrue(render(merged(REQUIRED, {"worker": {"autoscaling": scaling}})))

    def test_what_must_be_given_is_enough(self):
        self.assertTrue(render(REQUIRED))

    def test_addresses_whose_ports_are_open_are_taken(self):
        elsewhere = {"TELEGRAM_API_URL": "http://bot-api:8081", "OTEL_EXPORTER_OTLP_ENDPOINT": "https://[2001:db8::1]"}
        for policy in ({"telegramPorts": [443, 8081], "collectorPorts": [443]}, {"enabled": False}):
            self.assertTrue(render(merged(REQUIRED, {"settings": elsewhere, "networkPolicy": policy})))


if __name__ == "__main__":
    unittest.main()
