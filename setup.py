"""What pyproject.toml cannot say: the packages as found, and data/ as the package convnets_data."""

from setuptools import find_namespace_packages, setup

PACKAGES = ["components", "convnets", "keras_models", "pipelines", "serving"]

# Folders of tables or templates are namespace packages, so that they are packaged too.
rooms = find_namespace_packages(
    include=[pattern for package in PACKAGES for pattern in (package, f"{package}.*")],
    exclude=["*.__pycache__"],
)

setup(
    packages=[*rooms, "convnets_data", "convnets_data.mnist"],
    package_dir={"convnets_data": "data"},
)
