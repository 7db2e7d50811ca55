"""What is deployed: manifests by Kubernetes' own schemas, settings by the server's own readers."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from serving.command import main
from serving.model_config import read_model_config
from serving.settings import METRICS_PATH, read_batching_parameters, read_metrics_path

ROOT = Path(__file__).parents[2]
SERVING = ROOT / "serving"
DEPLOY = SERVING / "deploy"
MANIFESTS = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("*/deploy/*.yaml"))
SERVERS = ["embedded.yaml", "tensorflow_serving.yaml"]
# The package that brings a module, where its name is another.
PACKAGES = {
    "google": "protobuf",
    "grpc": "grpcio",
    "grpc_health": "grpcio-health-checking",
    "grpc_reflection": "grpcio-reflection",
    "ml_dtypes": "ml-dtypes",
    "PIL": "pillow",
    "prometheus_client": "prometheus-client",
    "tensorflow_serving": "tensorflow-serving-api",
}


def documents(name):
    return list(yaml.safe_load_all((DEPLOY / name).read_text()))


def for_a_bucket(name):
    """The documents that the command in the manifest's own comment hands to kubectl."""
    text = (DEPLOY / name).read_text()
    (expression,) = re.findall(rf"^#   sed '(\S.*)' {re.escape(name)} \|", text, re.M)
    shown = subprocess.run(["sed", expression, DEPLOY / name], capture_output=True, check=True)
    return list(yaml.safe_load_all(shown.stdout))


def of_kind(found, kind):
    (document,) = (each for each in found if each["kind"] == kind)
    return document


def one(name, kind):
    return of_kind(documents(name), kind)


def container(name):
    (found,) = one(name, "Deployment")["spec"]["template"]["spec"]["containers"]
    return found


@pytest.mark.parametrize("version", ["1.30", kubernetes_validate.latest_version()])
@pytest.mark.parametrize("name", MANIFESTS)
def test_the_manifests_are_valid(name, version):
    for document in yaml.safe_load_all((ROOT / name).read_text()):
        kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("name", SERVERS)
def test_with_a_bucket_only_the_volume_is_left_out(name):
    found, expected = for_a_bucket(name), documents(name)
    for document in found:
        kubernetes_validate.validate(document, "1.30", strict=True)
    assert "convnets-models" not in str(found)
    pod = of_kind(expected, "Deployment")["spec"]["template"]["spec"]
    for each in (pod["volumes"], pod["containers"][0]["volumeMounts"]):
        each.remove(next(part for part in each if part["name"] == "models"))
    assert found == expected


def test_the_settings_are_what_the_server_reads(tmp_path):
    (config,) = documents("config.yaml")
    for name, text in config["data"].items():
        (tmp_path / name).write_text(text)

    (lenet,) = read_model_config(tmp_path / "models.config")
    assert (lenet.name, lenet.base_path) == ("lenet", "/models/lenet")
    batching = read_batching_parameters(tmp_path / "batching.config")
    limits = container("embedded.yaml")["resources"]["limits"]
    assert batching.num_batch_threads == int(limits["cpu"])
    assert read_metrics_path(tmp_path / "monitoring.config") == METRICS_PATH


@pytest.mark.parametrize("name", SERVERS)
def test_the_parts_fit_together(name):
    (config,), (volume,) = documents("config.yaml"), documents("volume.yaml")
    deployment, service, scaler = (
        one(name, kind) for kind in ("Deployment", "Service", "HorizontalPodAutoscaler")
    )
    pod = deployment["spec"]["template"]["spec"]
    sources = {each["name"]: each for each in pod["volumes"]}
    assert sources["config"]["configMap"]["name"] == config["metadata"]["name"]
    claim = sources["models"]["persistentVolumeClaim"]["claimName"]
    assert claim == volume["metadata"]["name"]
    mounted = {each["name"]: each["mountPath"] for each in container(name)["volumeMounts"]}
    assert set(mounted) == set(sources)
    for argument in container(name)["args"]:
        if "_file=" in argument:
            folder, _, file = argument.partition("=")[2].rpartition("/")
            assert folder == mounted["config"]
            assert file in config["data"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    assert scaler["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    ports = {each["name"] for each in container(name)["ports"]}
    assert {each["targetPort"] for each in service["spec"]["ports"]} == ports


def test_the_flags_are_the_servers():
    known = {option for parameter in main.params for option in parameter.opts}
    for name in SERVERS:  # the real server's flags are a superset, but for --host
        given = {argument.partition("=")[0] for argument in container(name)["args"]}
        assert given <= known


def test_the_image_has_every_package_that_the_room_imports():
    imported = set()
    for path in SERVING.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            imported |= {name.partition(".")[0] for name in names}
    foreign = imported - set(sys.stdlib_module_names) - {"serving", "__future__"}
    text = (DEPLOY / "embedded.Dockerfile").read_text()
    installed = set(re.search(r"pip install[^\n]*\n(.*?)\nCOPY", text, re.S)[1].split())
    assert {PACKAGES.get(name, name) for name in foreign} <= installed
    lock = (ROOT / "requirements" / "glibc-2.36.txt").read_text()
    for package in installed - {"\\"}:
        assert re.search(rf"^{package}==", lock, re.M), package
