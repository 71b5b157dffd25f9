from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from modelgrid.emit import emit
from modelgrid.emit.names import image_file, quadlet_references, unit_name
from tests.emit import samples

if TYPE_CHECKING:
    from modelgrid.ir import Deployment


@pytest.mark.parametrize(
    ("path", "unit"),
    [
        ("quadlets/modelgrid-model-a.container", "modelgrid-model-a.service"),
        ("quadlets/modelgrid-image-a-0a1b2c3d.image", "modelgrid-image-a-0a1b2c3d-image.service"),
        ("quadlets/modelgrid.network", "modelgrid-network.service"),
        ("units/modelgrid.target", "modelgrid.target"),
        ("units/modelgrid-gateway.service", "modelgrid-gateway.service"),
        ("routing.json", None),
        ("keys.json", None),
        ("quadlets/README", None),
        ("manifest/units/a.service", None),
    ],
)
def test_unit_name_is_what_the_generator_makes_of_a_file(path: str, unit: str | None) -> None:
    assert unit_name(path) == unit


def test_image_files_are_readable_and_differ_by_image() -> None:
    name = image_file("ghcr.io/ggml-org/llama.cpp:server-cuda")

    assert name.startswith("modelgrid-image-llama-cpp-server-cuda-")
    assert name.endswith(".image")
    assert image_file("ghcr.io/ggml_org/llama.cpp:server-cuda") != name
    assert len(image_file("a/" + "b" * 300)) < 80


def references(deployment: Deployment) -> dict[str, set[str]]:
    files = {artifact.path.removeprefix("quadlets/"): artifact.content for artifact in emit(deployment)}
    return {name: quadlet_references(text) for name, text in files.items() if name.endswith(".container")}


def test_references_are_the_image_and_the_network_of_a_container() -> None:
    isolated = image_file(samples.ISOLATED_LAUNCH.image)
    published = image_file(samples.PUBLISHED_LAUNCH.image)

    assert references(samples.FULL) == {
        "modelgrid-model-llama3-8b-aaaaaa.container": {isolated, "modelgrid.network"},
        "modelgrid-model-qwen.container": {published},
    }


def test_an_image_of_the_host_is_no_reference() -> None:
    assert references(samples.OPEN) == {"modelgrid-model-llama3-8b-aaaaaa.container": {"modelgrid.network"}}


@pytest.mark.parametrize("sample", samples.ALL.values(), ids=samples.ALL)
def test_every_reference_is_a_file_of_the_tree(sample: Deployment) -> None:
    paths = {artifact.path for artifact in emit(sample)}

    for names in references(sample).values():
        assert {f"quadlets/{name}" for name in names} <= paths


def test_models_with_one_image_share_its_unit() -> None:
    other = replace(samples.PUBLISHED, name="other", slug="other")
    deployment = replace(samples.FULL, servers=(other, samples.PUBLISHED))
    images = [artifact.path for artifact in emit(deployment) if artifact.path.endswith(".image")]

    assert images == [f"quadlets/{image_file(samples.PUBLISHED_LAUNCH.image)}"]
