"""The tf.distribute strategies that a recipe can name."""

import functools

import tensorflow as tf

from components.train.data import Share


def _one_device() -> tf.distribute.Strategy:
    gpu = tf.config.list_logical_devices("GPU")
    return tf.distribute.OneDeviceStrategy(gpu[0].name if gpu else "/cpu:0")


@functools.cache
def strategy(name: str) -> tf.distribute.Strategy:
    """The strategy of a recipe's `strategy` field; one a process.

    Args:
      name: `one_device` (the first GPU, or the processor), `mirrored` (all GPUs of this machine)
        or `multi_worker` (the cluster that the TF_CONFIG environment variable describes).

    Raises:
      KeyError: another name.
    """
    return _STRATEGIES[name]()


def share(active: tf.distribute.Strategy) -> Share:
    """This process's place among the workers of its cluster; the chief's is the first."""
    resolver = active.cluster_resolver
    if resolver is None or not resolver.task_type:
        return Share()
    jobs = resolver.cluster_spec().as_dict()
    workers = [(job, task) for job in ("chief", "worker") for task in range(len(jobs.get(job, ())))]
    return Share(workers.index((resolver.task_type, resolver.task_id)), len(workers))


def is_chief(active: tf.distribute.Strategy) -> bool:
    """Whether this process is the one that writes checkpoints and the model."""
    return share(active).worker == 0


_STRATEGIES = {
    "one_device": _one_device,
    "mirrored": tf.distribute.MirroredStrategy,
    "multi_worker": tf.distribute.MultiWorkerMirroredStrategy,
}
