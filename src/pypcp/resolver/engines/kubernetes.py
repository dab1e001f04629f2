"""The forms under which people know Kubernetes' containers: pod, pod/container, namespace/pod/container.

A dot does where a slash cannot be typed. The bare pod stands for its sandbox, which owns its network and host name.
"""

from __future__ import annotations

from typing import Any

from pypcp.resolver.untrusted_files import text


def forms(namespace: str, pod: str, container: str = "") -> tuple[str, ...]:
    """Every form of one container, or without ``container`` of a sandbox."""
    if not namespace or not pod:
        return ()
    if not container:
        return (pod, f"{namespace}/{pod}", f"{namespace}.{pod}")
    joined = [(pod, container), (namespace, pod, container)]
    return (container, *(mark.join(words) for words in joined for mark in "/."))


def of_labels(labels: dict[str, Any]) -> tuple[str, ...]:
    """The forms of a container that the kubelet labelled (docker, containerd's CRI)."""
    namespace, pod = text(labels.get("io.kubernetes.pod.namespace")), text(labels.get("io.kubernetes.pod.name"))
    container = text(labels.get("io.kubernetes.container.name"))
    return forms(namespace, pod, "" if container == "POD" else container)


def of_annotations(annotations: dict[str, Any]) -> tuple[str, ...]:
    """The forms of a container by what containerd's CRI writes into its specification."""
    prefix = "io.kubernetes.cri."
    namespace, pod = text(annotations.get(f"{prefix}sandbox-namespace")), text(annotations.get(f"{prefix}sandbox-name"))
    sandbox = annotations.get(f"{prefix}container-type") == "sandbox"
    return forms(namespace, pod, "" if sandbox else text(annotations.get(f"{prefix}container-name")))


def of_name(name: str) -> tuple[str, ...]:
    """The forms in ``k8s_<container>_<pod>_<namespace>_<uid>_<attempt>``, as CRI-O and docker's shim name them."""
    words = name.split("_")
    if len(words) != 6 or words[0] != "k8s":
        return ()
    return forms(words[3], words[2], "" if words[1] == "POD" else words[1])
