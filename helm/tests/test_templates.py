"""What the templates say, one behaviour after the other."""

import json
import re
import unittest

import yaml

from chart import ASKED_WHO_IT_IS, CHART, PROMETHEUS, REQUIRED, REDIS_STREAMS, ROOT, SEVERAL_BOTS, find, merged, pods, profile, render, render_files
from manifests import invalid
from test_images import settings


def container(objects, component):
    (found,) = find(objects, "Deployment", f"nezuko-{component}")["spec"]["template"]["spec"]["containers"]
    return found


def environment(container):
    return {each["name"]: each["value"] for each in container["env"]}


def mounted(pod):
    """Where each secret setting comes from: secret and key, by its path."""
    (volume,) = [each for each in pod["spec"]["volumes"] if each["name"] == "secrets"]
    secrets = [source["secret"] for source in volume["projected"]["sources"]]
    return {item["path"]: (secret["name"], item["key"]) for secret in secrets for item in secret["items"]}


class Secrets(unittest.TestCase):
    def test_each_program_gets_the_secrets_that_it_needs_and_no_other(self):
        by_pod = {name: mounted(pod) for name, pod in pods(render(REQUIRED))}
        token = {"BOT_TOKEN": ("nezuko-bot", "token")}
        worker = {**token, "REDIS_URL": ("redis-worker", "redis-url"), "DATABASE_URL": ("database-runtime", "database-url")}
        self.assertEqual(
            by_pod,
            {
                "Deployment/nezuko-gateway": {
                    **token,
                    "WEBHOOK_SECRET": ("nezuko-bot", "webhook-secret"),
                    "REDIS_URL": ("redis-gateway", "redis-url"),
                },
                "Deployment/nezuko-worker": worker,
                "Pod/nezuko-doctor": worker,
                "Job/nezuko-migrate": {"DATABASE_URL": ("database-owner", "database-url")},
            },
        )

    def test_every_mounted_secret_is_told_to_the_program_as_a_file(self):
        for values in (REQUIRED, merged(REQUIRED, SEVERAL_BOTS)):
            for name, pod in pods(render(values)):
                (one,) = pod["spec"]["containers"]
                told = {key: value for key, value in environment(one).items() if value.startswith("/etc/nezuko/secrets/")}
                wanted = {f"{each}_FILE".replace("BOTS_FILE_FILE", "BOTS_FILE"): f"/etc/nezuko/secrets/{each}" for each in mounted(pod)}
                self.assertEqual(told, wanted, name)

    def test_a_webhook_secret_that_is_being_changed_goes_to_gateways_alone(self):
        objects = render(merged(REQUIRED, {"bot": {"webhookSecretPreviousKey": "old"}}))
        having = [name for name, pod in pods(objects) if mounted(pod).get("WEBHOOK_SECRET_PREVIOUS") == ("nezuko-bot", "old")]
        self.assertEqual(having, ["Deployment/nezuko-gateway"])

    def test_several_bots_come_in_one_file(self):
        objects = render(merged(REQUIRED, SEVERAL_BOTS))
        for component in ("gateway", "worker"):
            pod = find(objects, "Deployment", f"nezuko-{component}")["spec"]["template"]
            self.assertEqual(mounted(pod)["BOTS_FILE"], ("nezuko-bots", "bots.json"))
            self.assertFalse({"BOT_TOKEN", "WEBHOOK_SECRET"} & set(mounted(pod)))

    def test_authorities_are_mounted_and_told(self):
        values = {"authorities": {"existingConfigMap": "ours", "systemKey": "all.pem"}}
        for name, pod in pods(render(merged(REQUIRED, values))):
            (one,) = pod["spec"]["containers"]
            self.assertEqual(environment(one)["SSL_CERT_FILE"], "/etc/nezuko/authorities/all.pem", name)
            self.assertIn({"name": "authorities", "configMap": {"name": "ours"}}, pod["spec"]["volumes"])


class Settings(unittest.TestCase):
    def test_the_chart_knows_every_setting_of_the_programs(self):
        documented = set(re.findall(r"^\| `([A-Z_]+)`", (ROOT / "docs/configuration.md").read_text(), re.MULTILINE))
        taken = set(yaml.safe_load((CHART / "values.schema.json").read_text())["properties"]["settings"]["properties"])
        secret = {"BOT_TOKEN", "BOTS_FILE", "WEBHOOK_SECRET", "WEBHOOK_SECRET_PREVIOUS", "DATABASE_URL", "REDIS_URL", "SENTRY_DSN"}
        # Ports and names are the pods' own; a fleet does not poll.
        fixed = {"PORT", "OPS_PORT", "WORKER_NAME", "POLLING_FALLBACK"}
        self.assertEqual(taken | secret | fixed, documented, "add what is missing to `settings` in values.schema.json")

    def test_settings_reach_both_programs_and_numbers_stay_whole(self):
        objects = render(merged(REQUIRED, {"settings": {"MAX_BACKLOG": 2000000, "ENVIRONMENT": "staging"}}))
        for component in ("gateway", "worker"):
            told = environment(container(objects, component))
            self.assertEqual((told["MAX_BACKLOG"], told["ENVIRONMENT"]), ("2000000", "staging"))

    def test_a_share_of_traces_stays_the_share_that_it_is(self):
        for share, wanted in ((0.1, "0.1"), (0.015, "0.015"), (0, "0"), (1, "1"), (1.0, "1")):
            objects = render(merged(REQUIRED, {"settings": {"OTEL_TRACES_SAMPLER_ARG": share}}))
            for component in ("gateway", "worker"):
                self.assertEqual(environment(container(objects, component))["OTEL_TRACES_SAMPLER_ARG"], wanted)

    def test_nothing_is_set_that_nobody_asked_for(self):
        told = environment(container(render(REQUIRED), "worker"))
        self.assertEqual(set(told), {"BOT_TOKEN_FILE", "REDIS_URL_FILE", "DATABASE_URL_FILE"})

    def test_pods_with_addresses_of_ipv6_alone_are_reached(self):
        objects = render(merged(REQUIRED, {"settings": {"BIND": "::"}}))
        for component in ("gateway", "worker"):
            self.assertEqual(environment(container(objects, component))["BIND"], "::")

    def test_each_workload_has_what_else_its_environment_is_to_hold(self):
        def more(name):
            return [{"name": "OF", "value": name}, {"name": "HEADERS", "valueFrom": {"secretKeyRef": {"name": name, "key": "headers"}}}]

        values = {name: {"extraEnv": more(name)} for name in ("gateway", "worker", "migrate")}
        objects = render(merged(REQUIRED, values))
        self.assertEqual(list(invalid(objects)), [])
        for name, pod in pods(objects):
            (one,) = pod["spec"]["containers"]
            component = name.split("-")[1]
            self.assertEqual(one["env"][-2:], more({"doctor": "worker"}.get(component, component)), name)

    def test_no_setting_comes_by_way_of_the_rest_of_the_environment(self):
        schema = json.loads((CHART / "values.schema.json").read_text())
        refused = set(schema["definitions"]["extraEnv"]["items"]["properties"]["name"]["not"]["enum"])
        wanted = {name + end for name, file in settings().items() for end in ("", "_FILE")[: 2 if file else 1]}
        self.assertEqual(refused, wanted | {"SSL_CERT_FILE"})

    def test_a_digest_goes_before_a_tag_and_a_tag_before_the_version(self):
        version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
        digest = "sha256:" + "a" * 64
        for image, wanted in (({}, f":{version}"), ({"tag": "1"}, ":1"), ({"tag": "1", "digest": digest}, f"@{digest}")):
            objects = render(merged(REQUIRED, {"image": image}))
            self.assertEqual(container(objects, "gateway")["image"], f"registry.example.org/nezuko{wanted}")

    def test_the_chart_has_the_version_of_the_programs(self):
        version = re.search(r'^version = "(.+)"$', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
        chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
        self.assertEqual((chart["version"], chart["appVersion"]), (version, version))


class LifeAndDeath(unittest.TestCase):
    def test_the_kubelet_waits_longer_than_the_program(self):
        for grace, stop in ((None, 10), (100, 0), (600, 300)):
            settings = {"SHUTDOWN_GRACE_SECONDS": grace} if grace else {}
            objects = render(merged(REQUIRED, {"settings": settings, "gateway": {"preStopSeconds": stop}}))
            for component, before in (("gateway", stop), ("worker", 0)):
                pod = find(objects, "Deployment", f"nezuko-{component}")["spec"]["template"]["spec"]
                self.assertEqual(pod["terminationGracePeriodSeconds"], (grace or 25) + before + 10)
            lifecycle = container(objects, "gateway").get("lifecycle")
            self.assertEqual(lifecycle, {"preStop": {"sleep": {"seconds": stop}}} if stop else None)

    def test_liveness_asks_the_process_alone(self):
        for component in ("gateway", "worker"):
            found = container(render(REQUIRED), component)
            self.assertEqual(found["livenessProbe"]["httpGet"], {"path": "/live", "port": "ops"})
            self.assertEqual(found["readinessProbe"]["httpGet"], {"path": "/ready", "port": "ops"})

    def test_the_migration_and_what_it_needs_come_before_everything_else(self):
        objects = [entry for entry in render(REQUIRED) if entry["metadata"]["name"] == "nezuko-migrate"]
        weights = {entry["kind"]: int(entry["metadata"]["annotations"]["helm.sh/hook-weight"]) for entry in objects}
        self.assertEqual(weights, {"Job": 0, "ServiceAccount": -1, "NetworkPolicy": -1})
        for entry in objects:
            self.assertEqual(entry["metadata"]["annotations"]["helm.sh/hook"], "pre-install,pre-upgrade")

    def test_without_hooks_the_migration_is_a_job_like_any_other(self):
        objects = render(merged(REQUIRED, {"migrate": {"hook": False}}))
        self.assertNotIn("annotations", find(objects, "Job", "nezuko-migrate")["metadata"])
        off = render(merged(REQUIRED, {"migrate": {"enabled": False}}))
        self.assertNotIn("nezuko-migrate", [entry["metadata"]["name"] for entry in off])

    def test_a_migration_may_take_as_long_as_the_values_say_and_helm_is_to_wait_longer(self):
        for values, deadline, minutes in (({}, 900, 16), ({"activeDeadlineSeconds": 7230}, 7230, 122)):
            values = merged(REQUIRED, {"migrate": values})
            self.assertEqual(find(render(values), "Job", "nezuko-migrate")["spec"]["activeDeadlineSeconds"], deadline)
            self.assertIn(f"(helm upgrade --wait --timeout {minutes}m waits", render_files(values)["NOTES.txt"])

    def test_required_spread_is_required_over_nodes(self):
        for topology, wanted in (("preferred", "ScheduleAnyway"), ("required", "DoNotSchedule")):
            pod = find(render(merged(REQUIRED, {"topologySpread": topology})), "Deployment", "nezuko-worker")["spec"]["template"]["spec"]
            found = {each["topologyKey"]: each["whenUnsatisfiable"] for each in pod["topologySpreadConstraints"]}
            self.assertEqual(found, {"topology.kubernetes.io/zone": "ScheduleAnyway", "kubernetes.io/hostname": wanted})

    def test_neither_nodes_that_take_no_pod_nor_old_pods_hold_up_a_required_spread(self):
        for component in ("gateway", "worker"):
            pod = find(render(profile("ha")), "Deployment", f"nezuko-{component}")["spec"]["template"]["spec"]
            for each in pod["topologySpreadConstraints"]:
                self.assertEqual((each["nodeTaintsPolicy"], each["matchLabelKeys"]), ("Honor", ["pod-template-hash"]))


class Identity(unittest.TestCase):
    fixed = {"runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532}

    def test_ids_are_fixed_unless_the_cluster_gives_them(self):
        always = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
        for values, wanted in (({}, {**always, **self.fixed}), ({"podSecurity": {"fixedIds": False}}, always)):
            found = {name: pod["spec"]["securityContext"] for name, pod in pods(render(merged(REQUIRED, values)))}
            names = ("Deployment/nezuko-gateway", "Deployment/nezuko-worker", "Job/nezuko-migrate", "Pod/nezuko-doctor")
            self.assertEqual(found, dict.fromkeys(names, wanted))

    def test_files_are_read_by_the_group_and_nobody_else(self):
        for values in ({}, {"podSecurity": {"fixedIds": False}}):
            for name, pod in pods(render(merged(REQUIRED, values))):
                (volume,) = [each for each in pod["spec"]["volumes"] if each["name"] == "secrets"]
                self.assertEqual(volume["projected"]["defaultMode"], 0o440, name)


class Scaling(unittest.TestCase):
    def triggers(self, values):
        return find(render(merged(REQUIRED, values)), "ScaledObject", "nezuko-worker")["spec"]["triggers"]

    def test_workers_say_themselves_how_much_waits(self):
        objects = render(profile("ha"), namespace="bots", release="main")
        (trigger,) = find(objects, "ScaledObject", "main-nezuko-worker")["spec"]["triggers"]
        self.assertEqual(trigger["type"], "metrics-api")
        self.assertEqual(
            trigger["metadata"],
            {"url": "http://main-nezuko-worker.bots.svc:9090/scaling", "format": "json", "valueLocation": "backlog", "targetValue": "500"},
        )
        service = find(objects, "Service", "main-nezuko-worker")["spec"]
        self.assertEqual([(port["port"], port["targetPort"]) for port in service["ports"]], [(9090, "ops")])
        labels = find(objects, "Deployment", "main-nezuko-worker")["spec"]["template"]["metadata"]["labels"]
        self.assertLessEqual(service["selector"].items(), labels.items())
        answer = (ROOT / "shared/src/ops/scaling.rs").read_text()
        self.assertIn(f'"{trigger["metadata"]["valueLocation"]}": ', answer)

    def test_another_gateway_is_started_by_a_third_of_a_core_each(self):
        objects = render(merged(REQUIRED, {"gateway": {"autoscaling": {"enabled": True}}}))
        (metric,) = find(objects, "HorizontalPodAutoscaler", "nezuko-gateway")["spec"]["metrics"]
        requested = container(objects, "gateway")["resources"]["requests"]["cpu"]
        self.assertEqual((requested, metric["resource"]["target"]["averageUtilization"]), ("500m", 60))
        # Where nothing scales, little is asked for.
        small = container(render(profile("minimal")), "gateway")["resources"]
        self.assertEqual(small, {"requests": {"cpu": "100m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}})

    def test_workers_are_as_many_as_the_values_say_where_nobody_scales_them(self):
        objects = render(REQUIRED)
        self.assertEqual(find(objects, "Deployment", "nezuko-worker")["spec"]["replicas"], 2)
        self.assertFalse([each for each in objects if each["kind"] == "ScaledObject"])

    def test_prometheus_counts_the_backlog_once_however_many_processes_show_it(self):
        objects = render(merged(REQUIRED, PROMETHEUS), namespace="bots", release="main")
        (trigger,) = find(objects, "ScaledObject", "main-nezuko-worker")["spec"]["triggers"]
        series = '{namespace="bots",service="main-nezuko-metrics"}'
        query = f"sum(max by (bot_id) (nezuko_queue_unread{series}) + max by (bot_id) (nezuko_queue_pending{series}))"
        self.assertEqual(trigger["metadata"]["query"], query)
        self.assertEqual(trigger["metadata"]["threshold"], "500")

    def test_a_prometheus_that_asks_who_it_is_is_told(self):
        (trigger,) = self.triggers(merged(PROMETHEUS, ASKED_WHO_IT_IS))
        self.assertEqual((trigger["authenticationRef"], trigger["metadata"]["authModes"]), ({"name": "prometheus"}, "tls,basic"))
        (trigger,) = self.triggers(PROMETHEUS)
        self.assertNotIn("authenticationRef", trigger)
        self.assertNotIn("authModes", trigger["metadata"])

    def test_redis_streams_are_measured_by_their_length_for_each_bot(self):
        triggers = self.triggers({"worker": {"autoscaling": REDIS_STREAMS}})
        self.assertEqual([each["metadata"]["stream"] for each in triggers], ["nezuko:{123456789.0}:updates", "nezuko:{7000000001.0}:updates"])
        for each in triggers:
            self.assertEqual(each["type"], "redis-streams")
            self.assertEqual(each["metadata"]["streamLength"], "500")
            self.assertFalse({"lagCount", "pendingEntriesCount"} & set(each["metadata"]))

    def test_a_sentinel_and_a_cluster_have_scalers_of_their_own(self):
        for kind, wanted in (("sentinel", "redis-sentinel-streams"), ("cluster", "redis-cluster-streams")):
            redis = {"kind": kind, "sentinelMaster": "nezuko", "addresses": ["a:1", "b:2"]}
            first = self.triggers({"worker": {"autoscaling": merged(REDIS_STREAMS, {"redisStreams": redis})}})[0]
            self.assertEqual((first["type"], first["metadata"]["addresses"]), (wanted, "a:1,b:2"))
            self.assertEqual(first["metadata"].get("sentinelMaster"), "nezuko" if kind == "sentinel" else None)

    def test_the_stream_is_the_one_that_the_programs_use(self):
        (trigger, _) = self.triggers({"worker": {"autoscaling": REDIS_STREAMS}})
        keys = (ROOT / "shared/src/keys.rs").read_text()
        self.assertIn(f'"{trigger["metadata"]["stream"].replace("123456789", "123")}"', keys)

    def test_workers_go_slowly_and_never_all(self):
        spec = find(render(profile("ha")), "ScaledObject", "nezuko-worker")["spec"]
        down = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]
        self.assertEqual(down["stabilizationWindowSeconds"], 600)
        self.assertEqual(down["policies"], [{"type": "Pods", "value": 1, "periodSeconds": 120}])
        self.assertGreaterEqual(spec["minReplicaCount"], 1)
        self.assertEqual(spec["fallback"], {"failureThreshold": 3, "replicas": 4})


class Network(unittest.TestCase):
    def test_the_ingress_lets_in_telegram_alone_where_asked_to(self):
        ingress = find(render(profile("secure")), "Ingress", "nezuko-gateway")
        allowed = ingress["metadata"]["annotations"]["nginx.ingress.kubernetes.io/whitelist-source-range"]
        self.assertEqual(allowed, "149.154.160.0/20,91.108.4.0/22")
        (path,) = ingress["spec"]["rules"][0]["http"]["paths"]
        self.assertEqual((path["path"], path["backend"]["service"]["port"]), ("/webhook", {"name": "webhook"}))

    def reached(self, values, component):
        policy = find(render(merged(REQUIRED, values)), "NetworkPolicy", f"nezuko-{component}")["spec"]
        return [(tuple(port["port"] for port in rule["ports"]), rule.get("to")) for rule in policy["egress"]]

    def test_pods_reach_what_they_need_and_nothing_else(self):
        cluster_dns = {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
            "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
        }
        dns = ((53, 53), [cluster_dns, {"ipBlock": {"cidr": "169.254.20.10/32"}}])
        redis, postgres, telegram = ((6379,), None), ((5432,), None), ((443,), None)
        self.assertEqual(self.reached({}, "gateway"), [dns, redis, telegram])
        self.assertEqual(self.reached({}, "worker"), [dns, redis, postgres, telegram])
        self.assertEqual(self.reached({}, "migrate"), [dns, postgres])

    def test_a_collector_and_sentry_are_reached_where_there_are_some(self):
        telemetry = {
            "settings": {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.monitoring:4318"},
            "sentry": {"existingSecret": "sentry"},
        }
        for component in ("gateway", "worker"):
            self.assertEqual(self.reached(telemetry, component)[-2:], [((4318,), None), ((443,), None)])
        self.assertEqual(self.reached(telemetry, "migrate"), self.reached({}, "migrate"))

    def test_the_dsn_of_sentry_is_a_file_like_other_secrets(self):
        objects = render(merged(REQUIRED, {"sentry": {"existingSecret": "errors"}}))
        for name in ("nezuko-gateway", "nezuko-worker"):
            pod = find(objects, "Deployment", name)["spec"]["template"]["spec"]
            self.assertIn({"name": "SENTRY_DSN_FILE", "value": "/etc/nezuko/secrets/SENTRY_DSN"}, pod["containers"][0]["env"])
            (secrets,) = [volume["projected"]["sources"] for volume in pod["volumes"] if volume["name"] == "secrets"]
            self.assertIn("errors", [source["secret"]["name"] for source in secrets])

    def test_lists_of_peers_narrow_it_down(self):
        peers = [{"ipBlock": {"cidr": "10.0.0.0/8"}}]
        found = self.reached({"networkPolicy": {"redisTo": peers, "redisPorts": [26379, 6379]}}, "gateway")
        self.assertEqual(found[1], ((26379, 6379), peers))

    def test_dns_is_asked_at_the_ports_that_its_pods_have(self):
        for component in ("gateway", "worker", "migrate"):
            self.assertEqual(self.reached({"networkPolicy": {"dnsPorts": [5353, 53]}}, component)[0][0], (5353, 5353, 53, 53))

    def test_names_are_asked_of_whom_the_values_say(self):
        for peers, wanted in (([{"ipBlock": {"cidr": "10.0.0.10/32"}}],) * 2, ([], None)):
            for component in ("gateway", "worker", "migrate"):
                self.assertEqual(self.reached({"networkPolicy": {"dnsTo": peers}}, component)[0], ((53, 53), wanted))

    def test_strict_policies_have_no_open_end(self):
        policies = [entry["spec"] for entry in render(profile("secure")) if entry["kind"] == "NetworkPolicy"]
        self.assertEqual(len(policies), 3)
        for policy in policies:
            self.assertTrue(all(rule.get("to") for rule in policy["egress"]))
            self.assertTrue(all(rule.get("from") for rule in policy["ingress"]))

    def test_only_the_webhook_and_the_operations_port_are_reached(self):
        policies = render(profile("secure"))
        ports = {
            name: [rule["ports"][0]["port"] for rule in find(policies, "NetworkPolicy", f"nezuko-{name}")["spec"]["ingress"]]
            for name in ("gateway", "worker", "migrate")
        }
        self.assertEqual(ports, {"gateway": ["webhook", "ops"], "worker": ["ops"], "migrate": []})


class Notes(unittest.TestCase):
    def test_they_say_what_is_left_to_do(self):
        notes = render_files(REQUIRED)["NOTES.txt"]
        for part in ("helm test nezuko", "service nezuko-gateway, port 8443", "settings.WEBHOOK_URL is not set"):
            self.assertIn(part, notes)
        self.assertIn("https://bot.example.org/webhook/<bot id>", render_files(profile("secure"))["NOTES.txt"])

    def test_they_say_when_to_look_and_who_is_asked_for_names(self):
        for values, said in (({}, True), ({"networkPolicy": {"dnsTo": []}}, False)):
            notes = render_files(merged(REQUIRED, values))["NOTES.txt"]
            self.assertIn("when the pods are ready (helm upgrade --wait --timeout 16m waits for them)", notes)
            self.assertEqual("Names are asked of networkPolicy.dnsTo alone." in notes, said)

    def test_they_say_that_anybody_may_change_what_is_logged(self):
        said = "reaches the operations ports (9090) and may read metrics and change what is logged: "
        for values, how in (
            (REQUIRED, "name who may in networkPolicy.metricsFrom"),
            (merged(REQUIRED, {"networkPolicy": {"enabled": False}}), "enable networkPolicy and name who may"),
        ):
            self.assertIn(said + how, render_files(values)["NOTES.txt"])
        self.assertNotIn("operations ports", render_files(profile("secure"))["NOTES.txt"])

    def test_they_say_that_a_prometheus_may_find_neither_pods_nor_rules(self):
        labels = {"labels": {"release": "monitoring"}}
        for values, said in (
            (profile("minimal"), []),
            (profile("ha"), ["serviceMonitor", "prometheusRule"]),
            (merged(profile("ha"), {"serviceMonitor": labels}), ["prometheusRule"]),
            (merged(profile("ha"), {"serviceMonitor": labels, "prometheusRule": labels}), []),
        ):
            self.assertEqual(re.findall(r"^(\w+)\.labels is empty", render_files(values)["NOTES.txt"], re.MULTILINE), said)

    def test_they_say_whether_anybody_is_told_when_something_fails(self):
        url = {"prometheusRule": {"runbookUrl": "https://git.example.org/runbook.md"}}
        for values, said in (
            (profile("minimal"), "nobody is told"),
            (profile("ha"), "alerts name their section of docs/runbook.md and carry no link"),
            (merged(profile("ha"), url), "Alerts link to https://git.example.org/runbook.md."),
        ):
            self.assertIn(said, render_files(values)["NOTES.txt"])


if __name__ == "__main__":
    unittest.main()
