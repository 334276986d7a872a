#!/usr/bin/env python3
"""Makes the table of protobuf field numbers that `src/server/protobuf` reads.

The numbers and types come from the `generated.proto` files of Kubernetes' published Go modules
(Apache-2.0); the names in JSON come from the struct tags of the Go types next to them, because
`.proto` files do not know `$ref`, `x-kubernetes-list-type` or what is inlined.

    go mod download -json k8s.io/api@v0.35.0 k8s.io/apimachinery@v0.35.0 \\
        k8s.io/apiextensions-apiserver@v0.35.0 k8s.io/kube-aggregator@v0.35.0
    python3 testdata/protobuf_numbers.py FOLDER... > src/server/protobuf/messages.txt

Each FOLDER is a `Dir` that the first command prints; the second runs in the crate's folder. A line
of the output is a message's name, then `number:json name:type` for each field, in the order of the
numbers; the `//!` text of `src/server/protobuf/mod.rs` says what the types are. Only messages that
the bodies of KINDS can hold are written, without those that the reader knows by itself.
"""

import re
import sys
from pathlib import Path
from typing import NamedTuple

# What clients send, by package. A kind that joins the server's table of kinds joins this one.
KINDS = {
    "meta": "DeleteOptions",
    "admissionregistration.v1": "MutatingWebhookConfiguration ValidatingWebhookConfiguration",
    "apiextensions.v1": "CustomResourceDefinition",
    "apiregistration.v1": "APIService",
    "apps.v1": "ControllerRevision DaemonSet Deployment ReplicaSet StatefulSet",
    "authentication.v1": "SelfSubjectReview TokenRequest TokenReview",
    "authorization.v1": "LocalSubjectAccessReview SelfSubjectAccessReview"
    " SelfSubjectRulesReview SubjectAccessReview",
    "autoscaling.v1": "HorizontalPodAutoscaler Scale",
    "autoscaling.v2": "HorizontalPodAutoscaler",
    "batch.v1": "CronJob Job",
    "coordination.v1": "Lease",
    "core.v1": "Binding ConfigMap Endpoints Event LimitRange Namespace Node PersistentVolume"
    " PersistentVolumeClaim Pod PodTemplate ReplicationController ResourceQuota Secret Service"
    " ServiceAccount",
    "discovery.v1": "EndpointSlice",
    "events.v1": "Event",
    "networking.v1": "Ingress IngressClass NetworkPolicy",
    "node.v1": "RuntimeClass",
    "policy.v1": "Eviction PodDisruptionBudget",
    "rbac.v1": "ClusterRole ClusterRoleBinding Role RoleBinding",
    "resource.v1": "DeviceClass ResourceClaim ResourceClaimTemplate ResourceSlice",
    "scheduling.v1": "PriorityClass",
    "storage.v1": "CSIDriver CSINode CSIStorageCapacity StorageClass VolumeAttachment"
    " VolumeAttributesClass",
}

# Messages whose JSON is not an object of their fields. The reader knows them by name.
READ_BY_HAND = {
    "FieldsV1",
    "IntOrString",
    "JSON",
    "JSONSchemaPropsOrArray",
    "JSONSchemaPropsOrBool",
    "JSONSchemaPropsOrStringArray",
    "MicroTime",
    "Quantity",
    "RawExtension",
    "Time",
}

SCALARS = {"string": "s", "bool": "b", "int32": "i", "int64": "i", "bytes": "y", "double": "d"}

PACKAGE = re.compile(r"^package ([\w.]+);", re.M)
MESSAGE = re.compile(r"^message (\w+) \{\n(.*?)^\}", re.M | re.S)
FIELD = re.compile(
    r"^  (?:(optional|repeated) ([\w.]+)|map<string, ([\w.]+)>) (\w+) = (\d+);$", re.M
)
STRUCT = re.compile(r"^type (\w+) struct ?\{(?:\n(.*?)^)?\}", re.M | re.S)
TAG = re.compile(r'`json:"([^",]*)[^`]* protobuf:"\w+,(\d+)[,"]')
COMMENT = re.compile(r"^\s*//.*\n", re.M)


class Unexpected(Exception):
    """The modules hold something that this script does not know."""


class Field(NamedTuple):
    name: str  # In the `.proto` file.
    prefix: str  # `*` for a list, `%` for a map.
    kind: str  # A letter or a message.


def short(package: str) -> str:
    """`k8s.io.api.apps.v1` is `apps.v1`; all of apimachinery is `meta`."""
    if package.startswith("k8s.io.apimachinery."):
        return "meta"
    return ".".join(package.split(".")[-2:])


def kind_of(declared: str, package: str) -> str:
    if declared in SCALARS:
        return SCALARS[declared]
    if declared.startswith("."):
        outer, name = declared[1:].rsplit(".", 1)
        return f"{short(outer)}.{name}"
    if "." in declared or declared[0].islower():
        raise Unexpected(f"{package} has a field of type {declared}; add it to SCALARS")
    return f"{package}.{declared}"


def read_messages(text: str, package: str) -> dict[str, dict[int, Field]]:
    """The messages of one `.proto` file, their fields by number."""
    messages = {}
    for name, body in MESSAGE.findall(COMMENT.sub("", text)):
        fields = {}
        for label, plain, of_map, field, number in FIELD.findall(body):
            prefix = "%" if of_map else "*" if label == "repeated" else ""
            fields[int(number)] = Field(field, prefix, kind_of(of_map or plain, package))
        if len(fields) != len(body.split(";")) - 1:
            raise Unexpected(f"{package}.{name} has a field that FIELD does not match")
        messages[f"{package}.{name}"] = fields
    return messages


def read_names(folder: Path, package: str) -> dict[str, dict[int, str]]:
    """What the fields of the Go structs in a folder are called in JSON, by number."""
    names = {}
    for path in sorted(folder.glob("*.go")):
        if path.name.endswith("_test.go"):
            continue
        for name, body in STRUCT.findall(COMMENT.sub("", path.read_text())):
            tags = TAG.findall(body)
            names[f"{package}.{name}"] = {int(number): json for json, number in tags}
    return names


def line(message: str, fields: dict[int, Field], names: dict[int, str] | None) -> str:
    if names is None:
        # Go has no struct of that name: a named slice, wrapped for protobuf.
        if [(n, f.name, f.prefix) for n, f in fields.items()] != [(1, "items", "*")]:
            raise Unexpected(f"{message} has no Go struct and is not a list")
        return f"{message} =*{fields[1].kind}"
    words = [message]
    for number, field in sorted(fields.items()):
        if number not in names:
            raise Unexpected(f"field {number} of {message} has no tag in Go")
        # A field without a name in JSON is inlined.
        words.append(f"{number}:{names[number] or '<'}:{field.prefix}{field.kind}")
    return " ".join(words)


def table(folders: list[Path]) -> list[str]:
    messages, names = {}, {}
    for folder in folders:
        for path in sorted(folder.rglob("generated.proto")):
            text = path.read_text()
            full = PACKAGE.search(text)
            # apimachinery has more versions of `meta`, and a group for its tests.
            if not full or short(full[1]) not in KINDS or re.search("beta|test", full[1]):
                continue
            messages |= read_messages(text, short(full[1]))
            names |= read_names(path.parent, short(full[1]))
    wanted = [f"{package}.{kind}" for package, kinds in KINDS.items() for kind in kinds.split()]
    lines = {}
    while wanted:
        message = wanted.pop()
        if message in lines or message.rsplit(".", 1)[-1] in READ_BY_HAND:
            continue
        if message not in messages:
            raise Unexpected(f"no message {message} in these folders; is a module missing?")
        lines[message] = line(message, messages[message], names.get(message))
        wanted += [f.kind for f in messages[message].values() if len(f.kind) > 1]
    return [lines[message] for message in sorted(lines)]


def main() -> int:
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        print("\n".join(table([Path(folder) for folder in sys.argv[1:]])))
    except Unexpected as why:
        print(f"protobuf_numbers: {why}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
