"""What a cell can leave behind in its process, each a function: settings, patched functions, things that live on."""

import builtins
import gc
import json
import locale
import logging
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
import warnings
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from sparsebench.suites.contracts import context as contexts

from . import toy_state

KEPT: list[Any] = []
"""What is left running or open, so that nothing tidies it up."""


def gelu() -> None:
    F.gelu = lambda inputs, *_, **__: inputs * 2


def linear_forward() -> None:
    torch.nn.Linear.forward = lambda _, inputs: inputs * 2


def np_mean() -> None:
    np.mean = lambda *_, **__: 7.0


def torch_randn() -> None:
    torch.randn = lambda *sizes, **_: torch.ones(*sizes)


def task_generator() -> None:
    contexts.Context.task_generator = lambda *_: torch.Generator().manual_seed(5)


def derive_seed() -> None:
    contexts.derive_seed = lambda *_: 5


def operator_override() -> None:
    library = torch.library.Library("aten", "IMPL")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        library.impl("gelu", lambda inputs, **_: inputs * 3, "CPU")
    KEPT.append(library)


def builtins_float() -> None:
    builtins.float = lambda *_: 7.0  # type: ignore[assignment]


def cpu_affinity() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def nice() -> None:
    os.nice(5)


def umask() -> None:
    os.umask(0o777)


def open_files_limit() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def file_size_limit() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def signal_handler() -> None:
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)


def stdout() -> None:
    sys.stdout = None  # type: ignore[assignment]


def open_handles() -> None:
    KEPT.extend(os.open(os.devnull, os.O_RDONLY) for _ in range(200))


def time_sleep() -> None:
    time.sleep = lambda _: None


def json_dumps() -> None:
    json.dumps = lambda *_, **__: "{}"


def dtype() -> None:
    torch.set_default_dtype(torch.float64)


def gradients() -> None:
    torch.set_grad_enabled(False)


def inference_mode() -> None:
    KEPT.append(torch.inference_mode())
    KEPT[-1].__enter__()


def autocast() -> None:
    torch.set_autocast_enabled("cpu", True)


def torch_threads() -> None:
    torch.set_num_threads(7)


def deterministic() -> None:
    torch.use_deterministic_algorithms(True)


def denormals() -> None:
    torch.set_flush_denormal(True)


def module_hook() -> None:
    torch.nn.modules.module.register_module_forward_hook(lambda *_: torch.zeros(16, 1))


def numpy_errors() -> None:
    np.seterr(all="raise")


def variable() -> None:
    os.environ["LEFT_BY_A_CELL"] = "1"


def directory() -> None:
    os.chdir("/")


def warning_filters() -> None:
    warnings.simplefilter("error")


def locale_setting() -> None:
    locale.setlocale(locale.LC_ALL, "C")


def logging_level() -> None:
    logging.getLogger().setLevel(logging.CRITICAL)
    logging.disable(logging.CRITICAL)


def random_states() -> None:
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    random.seed = lambda *_: None


def cached_labels() -> None:
    toy_state.labels()[::2] = 0


def module_path() -> None:
    sys.path.insert(0, "/nowhere")


def recursion_limit() -> None:
    sys.setrecursionlimit(5000)


def collector() -> None:
    gc.disable()


def timer() -> None:
    signal.setitimer(signal.ITIMER_REAL, 600)


def thread() -> None:
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()


def child() -> None:
    KEPT.append(subprocess.Popen(["sleep", "600"]))


def child_of_a_child() -> None:
    """In a session of its own, and an orphan."""
    subprocess.run("setsid sleep 600 & ", shell=True, check=True)
