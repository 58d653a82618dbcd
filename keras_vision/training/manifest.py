"""What a run was made of, in a file beside its results: settings, data, and each start with its versions."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

import keras_vision
from keras_vision.errors import KerasVisionError
from keras_vision.files import whole_file

PACKAGES = ("tensorflow", "keras", "numpy")


def write_manifest(path: Path, settings: Mapping[str, Any], data: str, strategy: tf.distribute.Strategy) -> None:
    """Write the manifest of a run, or add this start to that of an interrupted one.

    Args:
        path: of the file.
        settings: of the run, the seed among them.
        data: fingerprint of the images.
        strategy: where it runs.

    Raises:
        KerasVisionError: the file is damaged, or cannot be written.
    """
    starts = [*(read_manifest(path)["starts"] if path.exists() else ()), _start(strategy)]
    with whole_file(path, overwrite=True) as temporary:
        temporary.write_text(json.dumps(dict(settings=dict(settings), data=data, starts=starts), indent=1) + "\n")


def read_manifest(path: Path) -> dict[str, Any]:
    """Settings, data and starts.

    Raises:
        KerasVisionError: damaged.
    """
    try:
        manifest = json.loads(path.read_text())
        return {key: manifest[key] for key in ("settings", "data", "starts")}
    except (ValueError, KeyError, TypeError) as error:
        raise KerasVisionError(f"{path} is no manifest of a run ({error}); give another folder.") from error


def _start(strategy: tf.distribute.Strategy) -> dict[str, Any]:
    return {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": {
            "python": platform.python_version(),
            "keras_vision": keras_vision.__version__,
            **{package: importlib.metadata.version(package) for package in PACKAGES},
        },
        "revision": revision(),
        "system": f"{platform.system()} {platform.machine()}",
        "devices": [device.name for device in tf.config.list_logical_devices()],
        "strategy": type(strategy).__name__,
        "replicas": strategy.num_replicas_in_sync,
    }


def revision() -> str | None:
    """The commit that the package runs from, with "-dirty" where it was changed; None where it is installed."""
    root = Path(keras_vision.__file__).parents[1]
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
