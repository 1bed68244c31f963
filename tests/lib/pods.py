"""Pods with the shim, for tests/fleet.bats.

pods.py check RENDERED PARTS     every pod of these manifests has what PARTS says, and what it had before
pods.py patches POLICY WORKLOADS the policy's patch for the pod of each workload, as Kyverno would put it to kustomize
pods.py same WORKLOADS PODS      the pods of the workloads are these
pods.py get FILE PATH...         a value out of a file, as JSON
"""

import json
import sys

import yaml


def read(path):
    with open(path) as file:
        return [document for document in yaml.safe_load_all(file) if document]


def spec_of(workload):
    """Return the pod's spec in a workload, or None."""
    spec = workload.get("spec", {})
    if workload["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    return spec if workload["kind"] == "Pod" else spec.get("template", {}).get("spec")


def name_of(workload):
    """Return the name of the workload's pod."""
    return workload["metadata"]["name"] if workload["kind"] == "Pod" else workload["kind"].lower()


def named(items):
    by_name = {item["name"]: item for item in items}
    assert len(by_name) == len(items), f"a name twice in {items}"
    return by_name


def check(rendered, parts):
    wanted = read(parts)[0]["template"]["spec"]
    workloads = [workload for workload in read(rendered) if spec_of(workload)]
    assert len(workloads) > 1, workloads
    assert not [workload for workload in read(rendered) if workload["kind"] == "PodTemplate"]
    for workload in workloads:
        spec = spec_of(workload)
        first = spec["initContainers"][0]
        assert first["name"] == "pinshim" and first["image"] == "registry.example.com/pinshim:0.2.0", first
        assert {**first, "image": "pinshim"} == wanted["initContainers"][0], first
        volumes = named(spec["volumes"])
        assert volumes["pinshim"] == {"name": "pinshim", "emptyDir": {}}, volumes
        assert volumes["pinshim-pins"]["configMap"]["name"] == "pinshim-pins", volumes
        others = spec["initContainers"][1:] + spec["containers"]
        for container in others:
            env, mounts = named(container["env"]), container["volumeMounts"]
            for variable in wanted["containers"][0]["env"]:
                assert env[variable["name"]] == variable, (container["name"], env)
            for mount in wanted["containers"][0]["volumeMounts"]:
                assert mounts.count(mount) == 1 and "subPath" not in mount, (container["name"], mounts)
            assert {mount["name"] for mount in mounts} <= volumes.keys(), mounts
            # The fields that the test's workloads set.
            for variable in container["env"]:
                assert variable["name"] != "KEPT" or variable["value"] == "yes", variable
        print(workload["kind"], *[container["name"] for container in others])


def matches(pattern, name):
    """Match those of Kyverno's patterns that the policy uses."""
    return name != pattern[1:] if pattern.startswith("!") else pattern == "*"


def expand(elements, containers):
    """Replace elements with conditional anchors by one for each container that matches, after those without anchors."""
    plain = [element for element in elements if "(name)" not in element]
    for element in elements:
        for container in containers:
            if "(name)" in element and matches(element["(name)"], container["name"]):
                plain.append({"name": container["name"], **{key: value for key, value in element.items() if key != "(name)"}})
    named(plain)
    return plain


def patches(policy, workloads):
    (rule,) = read(policy)[0]["spec"]["rules"]
    (match,) = rule["match"]["any"]
    assert match["resources"]["kinds"] == ["Pod"] and match["resources"]["selector"] == {"matchLabels": {"pinshim": "enabled"}}
    pods, edits = [], []
    for workload in read(workloads):
        patch = json.loads(json.dumps(rule["mutate"]["patchStrategicMerge"]))
        spec = spec_of(workload)
        name = {"name": name_of(workload)}
        for field in ("initContainers", "containers"):
            patch["spec"][field] = expand(patch["spec"][field], spec.get(field, []))
        pods.append({"apiVersion": "v1", "kind": "Pod", "metadata": name, "spec": spec})
        edits.append({"apiVersion": "v1", "kind": "Pod", "metadata": name, **patch})
    with open("pods.yaml", "w") as file:
        yaml.safe_dump_all(pods, file)
    kustomization = {"resources": ["pods.yaml"], "patches": [{"patch": yaml.safe_dump(edit)} for edit in edits]}
    with open("kustomization.yaml", "w") as file:
        yaml.safe_dump(kustomization, file)


def same(workloads, pods):
    def plain(spec):
        for container in spec["initContainers"] + spec["containers"]:
            for field, key in (("env", "name"), ("volumeMounts", "mountPath")):
                container[field] = sorted(container.get(field, []), key=lambda item: item[key])
        spec["volumes"].sort(key=lambda item: item["name"])
        return spec

    by_name = {pod["metadata"]["name"]: plain(pod["spec"]) for pod in read(pods)}
    workloads = [workload for workload in read(workloads) if spec_of(workload)]
    assert len(workloads) == len(by_name) > 1
    for workload in workloads:
        one, other = plain(spec_of(workload)), by_name[name_of(workload)]
        assert one == other, f"{json.dumps(one, indent=1)}\n--- and\n{json.dumps(other, indent=1)}"


def get(path, *keys):
    value = read(path)[0]
    for key in keys:
        value = value[int(key) if isinstance(value, list) else key]
    print(json.dumps(value))


{"check": check, "patches": patches, "same": same, "get": get}[sys.argv[1]](*sys.argv[2:])
