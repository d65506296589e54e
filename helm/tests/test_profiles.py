"""Every profile and every branch of the templates, against Helm, Kubernetes, the operators and a policy check."""

import unittest

import helm_python as helm

from chart import CHART, PROFILES, pods, render, variants
from manifests import ACCEPTED, dangling, invalid, policy_findings


class Profiles(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.rendered = {name: render(values) for name, values in variants().items()}

    def test_each_profile_is_documented_by_its_first_line(self):
        self.assertEqual(PROFILES, ["ha", "minimal", "secure"])
        for name in PROFILES:
            self.assertTrue((CHART / f"profiles/{name}.yaml").read_text().startswith("# "), name)

    def test_helm_finds_nothing_to_say(self):
        for name, values in variants().items():
            with self.subTest(name):
                found = helm.lint(str(CHART), values=values, namespace="nezuko", strict=True)
                # An icon is a picture for catalogues.
                said = [message for message in found["messages"] if "icon" not in message["error"]]
                self.assertEqual((said, found["errors"]), ([], []))

    def test_kubernetes_and_the_operators_take_every_manifest(self):
        for name, objects in self.rendered.items():
            with self.subTest(name):
                self.assertEqual(list(invalid(objects)), [])

    def test_manifests_that_are_wrong_are_noticed(self):
        objects = self.rendered["ha"]
        for kind in sorted({entry["kind"] for entry in objects}):
            with self.subTest(kind):
                wrong = next(entry for entry in objects if entry["kind"] == kind)
                place = "spec" if "spec" in wrong else "metadata"
                wrong = {**wrong, place: {**wrong[place], "unheardOf": True}}
                self.assertEqual(len(list(invalid([wrong]))), 1)

    def test_no_reference_leads_nowhere(self):
        for name, objects in self.rendered.items():
            with self.subTest(name):
                self.assertEqual(list(dangling(objects)), [])

    def test_names_are_unique(self):
        for name, objects in self.rendered.items():
            names = [(entry["kind"], entry["metadata"]["name"]) for entry in objects]
            self.assertEqual(len(names), len(set(names)), name)

    def test_pods_meet_the_restricted_standard_and_no_secret_is_in_the_environment(self):
        for name, objects in self.rendered.items():
            for pod_name, pod in pods(objects):
                with self.subTest(name, pod=pod_name):
                    spec = pod["spec"]
                    self.assertTrue(spec["securityContext"]["runAsNonRoot"])
                    if name != "ids that the cluster gives":
                        self.assertGreater(spec["securityContext"]["runAsUser"], 10000)
                    self.assertEqual(spec["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
                    self.assertFalse(spec["automountServiceAccountToken"])
                    (container,) = spec["containers"]
                    self.assertEqual(
                        container["securityContext"],
                        {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
                    )
                    self.assertTrue(all("valueFrom" not in each for each in container["env"]))
                    self.assertNotIn("envFrom", container)

    def test_the_policy_check_finds_only_what_is_accepted(self):
        passed, findings = policy_findings(self.rendered)
        self.assertGreater(passed, 1000, "the policy check did not check")
        self.assertEqual([line for found, line in findings if found not in ACCEPTED], [])
        self.assertEqual({found for found, _ in findings}, set(ACCEPTED), "accepted findings that no longer turn up")


if __name__ == "__main__":
    unittest.main()
