"""The process that talks to Ray, so that the run itself never waits for it and outlives it.

Ray ends the process of a driver whose head is gone, and some of its calls wait long for machines that do not answer.
So they are made here, in a process that the run can end. What it says is of its own making: an agent that does not
answer in time is given up, whatever Ray lists.
"""

import os
import secrets
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from time import monotonic
from typing import Any

from ...isolation.process import end_with, ignore_interrupts
from ...locks import hold_as_worker
from ..interface import Options
from .agent import Agent
from .messages import Close, Command, Dismiss, Gone, Joined, Node, Seen, Tell, Told
from .scratch import Scratch

LOOK_SECONDS = 2.0
"""How often Ray is asked for nodes, and the run is told of them; so it sees that this process is alive."""
STEP_SECONDS = 0.5
TURN_SECONDS = 0.1
START_SECONDS = 120.0
"""An agent has so long to start: it imports, and waits for what other jobs of the cluster hold."""
LOST_SECONDS = 30.0
"""An agent that does not answer for so long is lost."""
AGAIN_SECONDS = 10.0
"""After an agent was lost, a new one is tried on its node after so long, if Ray still lists the node."""
AUTH_MODE = "RAY_AUTH_MODE"
OBJECT_STORE_BYTES = 200 << 20
"""Size of the object store of a cluster of our own; results are small."""
SHORT = "/tmp"
"""Where Ray's sockets are, unless RAY_TMPDIR says otherwise: their paths must be short, and a TMPDIR may be long."""


def serve(pipe: Connection, folder: Path, parent: int, options: Options, gpus: bool, log: Path) -> None:
    """The life of the process. What Ray prints goes to the file `log`."""
    ignore_interrupts()
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(file, 1)
    os.dup2(file, 2)
    end_with(parent)
    hold_as_worker(folder)
    if options.address is not None:
        _Gateway(connect(options.address), pipe, options, gpus).run()
        return
    scratch = Scratch(Path(os.environ.get("RAY_TMPDIR") or SHORT))
    _Gateway(start_own(options, scratch.folder), pipe, options, gpus).run()
    scratch.remove()


def connect(address: str) -> Any:
    """The module `ray`, connected to the cluster at an address, with its token unless RAY_AUTH_MODE says otherwise."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault(AUTH_MODE, "token")
    import ray

    ray.init(address=address, log_to_driver=False, configure_logging=False)
    return ray


def start_own(options: Options, folder: Path) -> Any:
    """The module `ray`, connected to a new cluster on this machine.

    It is in nobody else's hands: its secret is of this run alone (Ray would write one into the home folder, for all
    clusters from then on), and what Ray keeps for it, which every user may change, lies in a folder of this user's.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_worker_niceness", "0")  # cells get as much of the processor as in a local run
    if AUTH_MODE not in os.environ:
        os.environ[AUTH_MODE] = "token"
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    import ray

    ray.init(
        address="local",
        num_cpus=options.workers * options.threads,
        include_dashboard=False,
        object_store_memory=OBJECT_STORE_BYTES,
        log_to_driver=False,
        configure_logging=False,
        _temp_dir=str(folder),
    )
    return ray


@dataclass
class _Agent:
    """An agent, the call that it has not answered yet, and the commands for the next one."""

    node: Node
    handle: Any
    call: Any
    deadline: float
    joined: bool = False
    commands: list[Command] = field(default_factory=list)


class _Gateway:
    def __init__(self, ray: Any, pipe: Connection, options: Options, gpus: bool) -> None:
        self._ray = ray
        self._pipe = pipe
        self._options = options
        self._gpus = gpus
        self._agents: dict[str, _Agent] = {}
        self._barred: dict[str, float] = {}
        self._next_look = 0.0

    def run(self) -> None:
        while True:
            while self._pipe.poll():
                order = self._pipe.recv()
                if isinstance(order, Close):
                    return self._close()
                self._obey(order)
            if monotonic() > self._next_look:
                self._look()
                self._next_look = monotonic() + LOOK_SECONDS
            self._listen()

    def _obey(self, order: Tell | Dismiss) -> None:
        agent = self._agents.get(order.node)
        if isinstance(order, Dismiss):
            self._barred[order.node] = monotonic() + order.seconds
            if agent is not None:
                self._end(order.node)
        elif agent is not None:
            agent.commands.extend(order.commands)

    def _look(self) -> None:
        """Tell which nodes there are, by Ray or since they have an agent, and start an agent on each that has none."""
        listed = [node for node in map(self._node, self._ray.nodes()) if node is not None]
        known = {node.id: node for node in (*listed, *(agent.node for agent in self._agents.values()))}
        self._pipe.send(Seen(list(known.values())))
        for node in listed:
            if node.id not in self._agents and monotonic() > self._barred.get(node.id, 0.0):
                self._agents[node.id] = self._hire(node)

    def _node(self, listed: dict[str, Any]) -> Node | None:
        """A node that Ray lists, with what it carries; None if that is nothing."""
        resources = listed["Resources"] if listed["Alive"] else {}
        slots = int(resources.get("CPU", 0)) // self._options.threads
        if self._options.memory is not None:
            slots = min(slots, int(resources.get("memory", 0)) // self._options.memory)
        slots = min(slots, self._options.workers)
        gpus = 0
        if self._gpus:
            gpus = min(slots, int(resources.get("GPU", 0)))
        return Node(listed["NodeID"], listed["NodeName"], slots, gpus) if slots else None

    def _hire(self, node: Node) -> _Agent:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        memory = self._options.memory
        actor = self._ray.remote(Agent).options(
            num_cpus=node.slots * self._options.threads,
            num_gpus=node.gpus,
            memory=None if memory is None else memory * node.slots,
            max_restarts=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False),
        )
        handle = actor.remote(replace(self._options, workers=node.slots, executor="local", address=None))
        return _Agent(node, handle, handle.step.remote([], 0.0), monotonic() + START_SECONDS)

    def _listen(self) -> None:
        """Wait for a moment for an agent's answer, pass it on, and let that agent go on."""
        calls = {agent.call: id_ for id_, agent in self._agents.items()}
        if not calls:
            self._pipe.poll(TURN_SECONDS)
            return
        answered, _ = self._ray.wait(list(calls), num_returns=1, timeout=TURN_SECONDS)
        for call in answered:
            self._answer(calls[call], self._agents[calls[call]])
        for id_, agent in list(self._agents.items()):
            if monotonic() > agent.deadline:
                self._lose(id_, self._silence(agent))

    def _answer(self, id_: str, agent: _Agent) -> None:
        try:
            news = self._ray.get(agent.call, timeout=LOST_SECONDS)
        except self._ray.exceptions.RayError as error:
            self._lose(id_, short(error))
            return
        if not agent.joined:
            agent.joined = True
            self._pipe.send(Joined(id_))
        if news:
            self._pipe.send(Told(id_, news))
        agent.call = agent.handle.step.remote(agent.commands, STEP_SECONDS)
        agent.commands = []
        agent.deadline = monotonic() + LOST_SECONDS

    def _silence(self, agent: _Agent) -> str:
        if agent.joined:
            return f"no answer for {LOST_SECONDS:g} s"
        return f"no agent could start there in {START_SECONDS:g} s: is it reachable, and are its CPUs free?"

    def _lose(self, id_: str, reason: str) -> None:
        self._barred[id_] = monotonic() + AGAIN_SECONDS
        self._end(id_)
        self._pipe.send(Gone(id_, reason))

    def _end(self, id_: str) -> None:
        agent = self._agents.pop(id_)
        self._ray.kill(agent.handle, no_restart=True)

    def _close(self) -> None:
        """Let the agents end their workers, and leave the cluster."""
        calls = [agent.handle.close.remote() for agent in self._agents.values()]
        if calls:
            self._ray.wait(calls, num_returns=len(calls), timeout=10)
        for id_ in list(self._agents):
            self._end(id_)
        self._ray.shutdown()


def short(error: Exception) -> str:
    """The line of a Ray error that says what happened: its texts have many, the last being the cause."""
    cause = getattr(error, "cause", None) or error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    if not lines:
        return type(cause).__name__
    return lines[0] if cause is error else f"{type(cause).__name__}: {lines[0]}"
