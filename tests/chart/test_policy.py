"""The least privilege: what operators' policies look for, in the default and in every other case."""

import unittest

import yaml

from chart import ROOT, case, cases, exporters, of_kind, pods

# What each case may add to the default, and nothing else may.
HOST_PID = {"gpu-shared", "gpu-amd", "slurm"}
PTRACE = {"gpu-amd", "slurm"}

NODE_PODS = {"apiGroups": [""], "resources": ["nodes/pods"], "verbs": ["get"]}
PODS = {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]}
RIGHTS = {"auto": [NODE_PODS, PODS], "kubelet": [NODE_PODS], "api": [PODS], "pods-api": [], "off": []}


def source(name):
    return cases()[name].get("node", {}).get("kubernetes", {}).get("source", "auto")


def privileges(found):
    """What goes beyond the least privilege, in words."""
    for label, spec in pods(found):
        for key in ("hostPID", "hostNetwork", "hostIPC", "shareProcessNamespace"):
            if spec.get(key):
                yield f"{label}: {key}"
        if spec["securityContext"].get("seccompProfile") != {"type": "RuntimeDefault"}:
            yield f"{label}: seccomp"
        folders = {volume["name"]: volume["hostPath"]["path"] for volume in spec.get("volumes", []) if "hostPath" in volume}
        for container in spec["containers"] + spec.get("initContainers", []):
            security = container["securityContext"]
            if security.get("privileged") is not False:
                yield f"{label}: privileged"
            if security.get("allowPrivilegeEscalation") is not False:
                yield f"{label}: escalation"
            if security.get("readOnlyRootFilesystem") is not True:
                yield f"{label}: writable root"
            if security["capabilities"].get("drop") != ["ALL"]:
                yield f"{label}: capabilities kept"
            for capability in security["capabilities"].get("add", []):
                yield f"{label}: capability {capability}"
            for port in container.get("ports", []):
                if "hostPort" in port:
                    yield f"{label}: host port"
            for mount in container.get("volumeMounts", []):
                if mount["name"] in folders and mount.get("readOnly") is not True:
                    yield f"{label}: writable {folders[mount['name']]}"
                if mount["name"] in folders and mount["mountPath"] in ("/sys", "/proc"):
                    yield f"{label}: {mount['mountPath']} of the container itself"
    for one in of_kind(found, "Role", "ClusterRole"):
        for rule in one["rules"]:
            for word in rule["resources"] + rule["verbs"] + rule["apiGroups"]:
                if "*" in word or word in ("nodes/proxy", "secrets"):
                    yield f"{one['kind']} {one['metadata']['name']}: {word}"


class Policy(unittest.TestCase):
    def test_the_default_asks_for_nothing(self):
        self.assertEqual(list(privileges(case("default"))), [])
        base = list(yaml.safe_load_all((ROOT / "helm" / "manifests" / "base" / "noether.yaml").read_text()))
        self.assertTrue(of_kind(base, "DaemonSet"))
        self.assertEqual(list(privileges(base)), [])

    def test_every_other_case_asks_for_what_it_says(self):
        for name in cases():
            expected = set()
            for label in [label for label, _, _ in exporters(case(name)) if label.startswith("DaemonSet")]:
                # With a DaemonSet for GPUs, only that one has what GPUs need.
                if name == "gpu-shared" and not label.endswith("-gpu"):
                    continue
                expected |= {f"{label}: hostPID"} if name in HOST_PID else set()
                expected |= {f"{label}: capability SYS_PTRACE"} if name in PTRACE else set()
            self.assertEqual(set(privileges(case(name))), expected, name)

    def test_uid_0_only_where_meters_are(self):
        for label, spec, _ in exporters(case("grid")):
            uid = spec["securityContext"]["runAsUser"]
            self.assertEqual(uid == 0, label.startswith("DaemonSet"), label)

    def test_the_host_is_mounted_sparsely(self):
        """Never the whole root, nor the folder of all pods' volumes; and read-only all the way down."""
        for name in cases():
            for label, spec, container in exporters(case(name)):
                places = {volume["name"]: volume["hostPath"]["path"] for volume in spec.get("volumes", []) if "hostPath" in volume}
                allowed = {"/sys", "/proc", "/run/noether"} | {
                    f"{kubelet}/{folder}" for kubelet in ("/var/lib/kubelet", "/data/kubelet") for folder in ("pods-api", "pod-resources")
                }
                self.assertLessEqual(set(places.values()), allowed, (name, label))
                for mount in container.get("volumeMounts", []):
                    if mount["name"] in places:
                        self.assertIn(mount["recursiveReadOnly"], ("IfPossible", "Enabled"), (name, label))
        self.assertEqual(
            [volume["hostPath"]["path"] for volume in exporters(case("names-off"))[0][1]["volumes"]], ["/sys"],
        )

    def test_rights_follow_the_source_of_names(self):
        for name in cases():
            roles = of_kind(case(name), "ClusterRole", "Role")
            rules = [rule for one in roles for rule in one["rules"]]
            # The grid alone, or rights that are given elsewhere.
            bare = name in ("grid-only", "placement")
            self.assertEqual(rules, [] if bare else RIGHTS[source(name)], name)
            self.assertEqual(len(of_kind(case(name), "ClusterRoleBinding")), len(roles), name)

    def test_a_token_only_where_it_is_used(self):
        for name in cases():
            for account in of_kind(case(name), "ServiceAccount"):
                self.assertIs(account["automountServiceAccountToken"], False, name)
            for label, spec in pods(case(name)):
                wanted = label.startswith("DaemonSet") and source(name) in ("auto", "kubelet", "api")
                self.assertIs(spec["automountServiceAccountToken"], wanted, (name, label))

    def test_constraints_allow_what_is_asked_for(self):
        constraints = of_kind(case("openshift"), "SecurityContextConstraints")[0]
        for key in ("allowPrivilegedContainer", "allowPrivilegeEscalation", "allowHostPID", "allowHostNetwork", "allowHostIPC", "allowHostPorts"):
            self.assertIs(constraints[key], False, key)
        account = of_kind(case("openshift"), "ServiceAccount")[0]["metadata"]
        self.assertEqual(constraints["users"], [f"system:serviceaccount:{account['namespace']}:{account['name']}"])

    def test_the_network_is_closed_where_nothing_is_asked(self):
        policies = {one["metadata"]["name"]: one["spec"] for one in of_kind(case("networkpolicy"), "NetworkPolicy")}
        self.assertEqual(policies["green-noether-node"]["egress"], [])
        policies = {one["metadata"]["name"]: one["spec"] for one in of_kind(case("networkpolicy-api"), "NetworkPolicy")}
        self.assertIn({"ports": [{"port": 6443, "protocol": "TCP"}]}, policies["green-noether-node"]["egress"])
        self.assertNotIn({"ports": [{"port": 6443, "protocol": "TCP"}]}, policies["green-noether-grid"]["egress"])


if __name__ == "__main__":
    unittest.main()
