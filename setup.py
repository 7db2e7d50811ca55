"""What pyproject.toml cannot say: the found packages, and data/ as the package convnets_data."""

from setuptools import find_packages, setup

ROOMS = ["components", "keras_models", "pipelines", "serving"]

setup(
    packages=find_packages(include=[p for room in ROOMS for p in (room, f"{room}.*")])
    + ["convnets_data"],
    package_dir={"convnets_data": "data"},
)
