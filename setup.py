"""Package metadata that pip reads; the settings of the tools are in pyproject.toml."""

from setuptools import setup

setup()
