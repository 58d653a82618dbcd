"""Where training runs: one device, several of a machine, or several machines."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_vision.errors import KerasVisionError

NAMES = ("none", "mirrored", "multiworker")
_EXAMPLE = '{"cluster": {"worker": ["host1:12345", "host2:12345"]}, "task": {"type": "worker", "index": 0}}'


def strategy_of(name: str = "none", replicas: int | None = None) -> tf.distribute.Strategy:
    """The strategy of a name; to be called before anything else uses TensorFlow's devices.

    Args:
        name: "none": one device. "mirrored": all GPUs of this machine. "multiworker": all machines that the environment
            variable `TF_CONFIG` names, which is to be set on each, with its own index.
        replicas: of "mirrored": that many GPUs, or, on a machine without any, parts of the CPU.

    Raises:
        KerasVisionError: another name, too few devices, devices that are in use already, a `TF_CONFIG` that is missing
            or malformed, or a port that another process has.
    """
    if name not in NAMES:
        raise KerasVisionError(f"strategy={name!r}; accepted: {', '.join(NAMES)}.")
    if replicas is not None and (name != "mirrored" or replicas < 1):
        raise KerasVisionError(
            f"replicas={replicas} with strategy={name!r}; a number from 1 goes with 'mirrored' only."
        )
    if name == "mirrored":
        return tf.distribute.MirroredStrategy(_devices(replicas))
    if name == "multiworker":
        check_tf_config(os.environ.get("TF_CONFIG"))
        return tf.distribute.MultiWorkerMirroredStrategy()
    return tf.distribute.get_strategy()


def enable_determinism() -> None:
    """Let TensorFlow's operations give the same bits in each run, more slowly on a GPU."""
    tf.config.experimental.enable_op_determinism()


def workers(strategy: tf.distribute.Strategy) -> int:
    """Number of processes that train together."""
    resolver = strategy.cluster_resolver
    return len(resolver.cluster_spec().as_dict().get("worker", ())) or 1 if resolver else 1


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one that writes files."""
    return workers(strategy) == 1 or strategy.cluster_resolver.task_id == 0


def summed(strategy: tf.distribute.Strategy, values: Sequence[float]) -> np.ndarray:
    """The sums of what all workers give, for each number; waits until all have given theirs."""
    mine, local = tf.constant(values, tf.float32), strategy.num_replicas_in_sync // workers(strategy)
    given = strategy.experimental_distribute_values_from_function(lambda _: mine / local)
    return strategy.reduce("SUM", given, axis=None).numpy()


def check_tf_config(text: str | None) -> None:
    """Say what is wrong with a `TF_CONFIG` before TensorFlow waits for machines that never come.

    Raises:
        KerasVisionError: missing or malformed, or the port of this worker is in use.
    """
    try:
        config = json.loads(text or "")
        workers, task = config["cluster"]["worker"], config["task"]
        address = workers[_index(task, len(workers))]
        port = int(address.rpartition(":")[2])
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise KerasVisionError(
            f"TF_CONFIG={text!r} does not say who the workers are ({type(error).__name__}: {error}); expected, on the "
            f"first of two machines, {_EXAMPLE}."
        ) from error
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            raise KerasVisionError(
                f"TF_CONFIG gives this worker {address}, whose port cannot be had ({error.strerror}): end the process "
                "that has it, or give another port on all workers."
            ) from error


def _index(task: Mapping[str, Any], workers: int) -> int:
    if task["type"] != "worker" or not isinstance(task["index"], int) or not 0 <= task["index"] < workers:
        raise ValueError(f"task {dict(task)} is none of {workers} workers")
    return task["index"]


def _devices(replicas: int | None) -> list[str] | None:
    gpus = tf.config.list_logical_devices("GPU") if tf.config.list_physical_devices("GPU") else []
    if gpus or replicas is None:
        if replicas is not None and replicas > len(gpus):
            raise KerasVisionError(f"replicas={replicas}, and this machine has {len(gpus)} GPUs.")
        return [gpu.name for gpu in gpus[:replicas]] or None
    cpu, part = tf.config.list_physical_devices("CPU")[0], tf.config.LogicalDeviceConfiguration
    if len(tf.config.get_logical_device_configuration(cpu) or ()) < replicas:
        try:
            tf.config.set_logical_device_configuration(cpu, [part() for _ in range(replicas)])
        except RuntimeError as error:
            raise KerasVisionError(
                f"replicas={replicas} of a CPU: TensorFlow has begun to use it already; choose the strategy first."
            ) from error
    return [f"CPU:{number}" for number in range(replicas)]
