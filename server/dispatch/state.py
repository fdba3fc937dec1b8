"""The dispatch machine: every decision about queues, batches, retries and deadlines, and nothing else.

Events are its methods, each takes the time as an argument where it matters and returns instructions; a shell carries
them out. It never performs I/O, reads no clock and knows no asyncio, so that each hard case (a worker lost in flight,
a model swapped while requests wait) is a few lines of test.

Work-conserving batching: an idle worker takes, at once, everything queued for one model up to the limits. Nobody waits
for a timer; under load batches grow by themselves, because requests pile up while the workers are busy. What waits,
and whose turn it is, is `Queues`'. There is one for callers who wait, and one for what is done beside them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from server.dispatch.messages import (
    Close,
    Generation,
    Instruction,
    Kill,
    Limits,
    ModelPolicy,
    Refusal,
    Refuse,
    Request,
    Send,
)
from server.dispatch.queues import NEWEST, Queues

MAX_ATTEMPTS = 2
NOBODY: Mapping[str, str] = {}


class _Worker:
    __slots__ = ("batch", "charged_s", "generation", "killed", "leaving", "name", "requests", "sent")

    def __init__(self, name: str, generation: int) -> None:
        self.name = name
        self.generation = generation
        self.batch = 0
        self.requests: list[Request] | None = None
        self.sent = 0.0
        self.charged_s = 0.0
        self.killed = False
        self.leaving = False


class DispatchState:
    """The machine of one pool in one web process."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._generations: dict[int, dict[str, ModelPolicy]] = {}
        self._current: dict[str, str] = {}
        self._newest = 0
        self._model_share = 0
        self._workers: dict[str, _Worker] = {}
        self._live = Queues(limits)
        self._batch_lane = Queues(limits)
        self._lanes = (self._live, self._batch_lane)
        """By the number that a request's `lane` has."""
        self._predict_s: dict[str, float] = {}
        """What predicting a request of a model takes, as a moving average."""
        self._elsewhere: Mapping[str, str] = NOBODY
        self._batch = 0
        self._anyone_leaves = False

    # What an observer may ask

    @property
    def workers(self) -> int:
        """Workers that can take requests for the newest generation."""
        return self._present()

    def _present(self) -> int:
        return sum(w.generation == self._newest and not w.killed and not w.leaving for w in self._workers.values())

    @property
    def busy(self) -> frozenset[str]:
        """The workers that hold a batch of this process."""
        return frozenset(name for name, worker in self._workers.items() if worker.requests is not None)

    @property
    def queued_requests(self) -> int:
        """Requests that wait."""
        return self._live.requests + self._batch_lane.requests

    @property
    def queued_bytes(self) -> int:
        """The size of their bodies."""
        return self._live.size_bytes + self._batch_lane.size_bytes

    def queued(self, model_key: str) -> int:
        """Requests that wait for one model."""
        return sum(lane.length(model_key) for lane in self._lanes)

    @property
    def idle(self) -> bool:
        """True when nothing waits and nothing is in flight."""
        return not self.queued_requests and all(w.requests is None for w in self._workers.values())

    @property
    def inflight_requests(self) -> int:
        """Requests that wait or that workers hold."""
        return self.queued_requests + sum(len(w.requests) for w in self._workers.values() if w.requests is not None)

    def longest_wait_s(self, now: float) -> float:
        """How long the live request has waited that waits longest; 0 where none waits."""
        return max((now - arrived for arrived in self._live.first_arrivals()), default=0.0)

    def wait_s(self, model_key: str) -> float:
        """About how long a new live request for this model would wait."""
        return self._live.wait_s(model_key, self.workers)

    def busy_s(self, worker: str, now: float) -> float:
        """How long ago a worker was sent what it answers; 0 where it was sent nothing."""
        state = self._workers.get(worker)
        return 0.0 if state is None or state.requests is None else now - state.sent

    # Events

    def on_submit(self, request: Request, now: float) -> Refusal | None:
        """A request arrived. A refusal means that it was not taken; else it waits until `assign`."""
        # Its version may have left while its body came in.
        if not self._is_served(request.model_key) and not self._moved(request):
            return Refusal.MODEL_GONE
        return self._lanes[request.lane].offer(request, self._present, now)

    def on_abandoned(self, request: Request) -> None:
        """Take back a request whose client has gone."""
        request.answered = True
        self._lanes[request.lane].remove(request)

    def on_worker(self, worker: str, generation: int) -> None:
        """A worker has been connected and has answered."""
        self._workers[worker] = _Worker(worker, generation)

    def on_generation(self, generation: Generation) -> list[Instruction]:
        """Have this generation's workers serve. Older ones finish what only they can do, and then leave."""
        self._newest = generation.number
        # A model that has left is in this generation's workers until the next: they answer what waits for it.
        self._generations[generation.number] = self._generations.get(generation.number, {}) | dict(generation.models)
        self._current = {p.model: model_key for model_key, p in generation.models.items() if p.current}
        self._model_share = generation.model_share
        for worker in self._workers.values():
            if worker.generation == self._newest and generation.workers is not None:
                worker.leaving = worker.name not in generation.workers
        self._anyone_leaves = True
        return self._retire() + self._rehome()

    def on_reply(self, worker: str, batch: int, results: int, predict_s: float, now: float) -> list[Request] | None:
        """A worker answered a batch with so many results: its requests in order, or None if it was given another."""
        state = self._workers.get(worker)
        if state is None or state.requests is None or state.batch != batch or len(state.requests) != results:
            return None
        requests, state.requests = state.requests, None
        model_key = requests[0].model_key
        known_s, each_s = self._predict_s.get(model_key, 0.0), predict_s / len(requests)
        self._predict_s[model_key] = (1 - NEWEST) * known_s + NEWEST * each_s
        self._lanes[requests[0].lane].correct(model_key, len(requests), now - state.sent, state.charged_s)
        return requests

    def on_returned(self, worker: str, batch: int) -> list[Instruction] | None:
        """A worker gave a batch back unanswered, and takes nothing more; None if it was given another batch.

        That is nobody's fault: what it held goes to another worker, and counts as not having been sent.
        """
        state = self._workers.get(worker)
        if state is None or state.requests is None or state.batch != batch:
            return None
        requests, state.requests = state.requests, None
        state.leaving = self._anyone_leaves = True
        for request in reversed([r for r in requests if not r.answered]):
            request.attempts -= 1
            request.gives_up = request.deadline
            self._lanes[request.lane].add(request, first=True)
        return self._retire() + self._rehome()

    def on_worker_lost(self, worker: str) -> list[Instruction]:
        """A worker's connection ended. What it held goes once more, each alone; a second loss is answered."""
        state = self._workers.pop(worker, None)
        if state is None:
            return []
        instructions: list[Instruction] = []
        for request in reversed([r for r in state.requests or () if not r.answered]):
            if request.attempts >= MAX_ATTEMPTS:
                instructions.append(self._refuse(request, Refusal.WORKER_CRASHED))
            else:
                request.gives_up = request.deadline
                self._lanes[request.lane].add(request, first=True)
        return instructions + self._retire() + self._rehome()

    def on_time(self, now: float) -> list[Instruction]:
        """Time has passed: answer what is late, and kill workers that are still busy with it."""
        late = [r for lane in self._lanes for r in lane.late(now)]
        instructions: list[Instruction] = [self._refuse(r, self._why_late(r, now)) for r in late]
        for worker in self._workers.values():
            instructions += self._late(worker, now)
        return instructions

    def assign(self, now: float, elsewhere: Mapping[str, str] = NOBODY) -> list[Instruction]:
        """Give every idle worker what it can take. The shell calls this once after a burst of events.

        `elsewhere` are workers that other web processes have held for long, with the models that hold them: they get
        nothing, and count where a model's share of the workers is looked at.
        """
        instructions = self._retire() if self._anyone_leaves else []
        self._elsewhere = elsewhere
        idle = [w for w in self._workers.values() if w.requests is None and not w.killed and not w.leaving]
        if elsewhere:
            idle = [w for w in idle if w.name not in elsewhere]
        self._give(instructions, self._live, idle, 0, now)
        if self._batch_lane.requests:
            self._give(instructions, self._batch_lane, idle, 1 if self._present() > 1 else 0, now)
        return instructions

    # How

    def _give(self, given: list[Instruction], lane: Queues, idle: list[_Worker], spared: int, now: float) -> None:
        """Give idle workers what waits in a lane, all but so many of them."""
        while len(idle) > spared and lane.requests:
            taken = self._take(lane, idle, now)
            if not taken:
                break
            given += taken

    def _take(self, lane: Queues, idle: list[_Worker], now: float) -> list[Instruction]:
        """The next batch for one of the idle workers, or what was too late to be part of it; empty if there is none."""
        taken = self._workers_of_models() if self._model_share else None
        for model_key in lane.turns():
            for worker in idle:
                policy = self._policy(worker, model_key)
                if policy is None:
                    continue
                if taken is not None and taken[policy.model] >= self._model_share:
                    break
                late = lane.late_first(model_key, now)
                if late:  # whether anything is left in this queue shows in the next round
                    return [self._refuse(r, self._why_late(r, now)) for r in late]
                requests = lane.take(model_key, self._most(lane, model_key, policy, len(idle)), now)
                idle.remove(worker)
                return [self._send(worker, model_key, requests, now)]
        return []

    def _workers_of_models(self) -> Counter[str]:
        """How many workers of the newest generation each model holds, in whichever web process."""
        workers = [w for w in self._workers.values() if w.generation == self._newest]
        taken = Counter(w.requests[0].model for w in workers if w.requests)
        if self._elsewhere:
            taken.update(self._elsewhere[w.name] for w in workers if not w.requests and w.name in self._elsewhere)
        return taken

    def _policy(self, worker: _Worker, model_key: str) -> ModelPolicy | None:
        """How this worker may call that model; a worker of an old generation only takes what no newer one holds."""
        if worker.generation != self._newest and model_key in self._generations.get(self._newest, {}):
            return None
        return self._generations.get(worker.generation, {}).get(model_key)

    def _most(self, lane: Queues, model_key: str, policy: ModelPolicy, idle_workers: int) -> int:
        """How many requests one call may hold; a queue of slow calls is spread over idle workers."""
        most = min(policy.max_requests, self._limits.batch_max_requests)
        waiting = lane.length(model_key)
        if idle_workers > 1 and waiting * self._predict_s.get(model_key, 0.0) > self._limits.spread_above_s:
            most = min(most, -(-waiting // idle_workers))
        return most

    def _send(self, worker: _Worker, model_key: str, requests: list[Request], now: float) -> Send:
        self._batch = self._batch % 0xFFFFFFFF + 1
        worker.batch, worker.requests, worker.sent = self._batch, requests, now
        worker.charged_s = self._lanes[requests[0].lane].charge(model_key, len(requests))
        for request in requests:
            request.attempts += 1
            request.sent = now
        return Send(worker.name, self._batch, model_key, requests)

    def _late(self, worker: _Worker, now: float) -> Iterable[Instruction]:
        if worker.requests is None:
            return
        late = [r for r in worker.requests if r.deadline <= now]
        for request in late:
            if not request.answered:
                yield self._refuse(request, Refusal.DEADLINE)
        if worker.killed:
            return
        # A request that had waited long may reach a worker just before its deadline: that is not the worker's fault,
        # so it is killed only if the call itself has lasted too.
        if late and now >= worker.sent + self._limits.kill_after_s:
            worker.killed = True
            yield Kill(worker.name, "deadline")
        elif all(r.answered for r in worker.requests) and now >= worker.sent + self._limits.abandon_after_s:
            worker.killed = True
            yield Kill(worker.name, "abandoned")

    def _why_late(self, request: Request, now: float) -> Refusal:
        if not self._workers:
            return Refusal.NO_WORKER
        return Refusal.DEADLINE if request.deadline <= now else Refusal.OVERLOADED

    def _retire(self) -> list[Instruction]:
        """Close idle workers that are to leave, and those of old generations that nothing which waits still needs."""
        instructions: list[Instruction] = []
        newest = self._generations.get(self._newest, {})
        leaving = [w for w in self._workers.values() if w.leaving or w.generation < self._newest]
        for worker in leaving:
            own = self._generations.get(worker.generation, {}) if not worker.leaving else {}
            if worker.requests is None and not any(k in own and k not in newest for k in self._wanted()):
                del self._workers[worker.name]
                instructions.append(Close(worker.name))
        self._anyone_leaves = len(instructions) < len(leaving)
        living = {w.generation for w in self._workers.values() if not w.leaving} | {self._newest}
        self._generations = {n: keys for n, keys in self._generations.items() if n in living}
        self._predict_s = {model_key: s for model_key, s in self._predict_s.items() if model_key in newest}
        for lane in self._lanes:
            lane.forget_all_but(newest)
        return instructions

    def _rehome(self) -> list[Instruction]:
        """Requests whose model version no living generation holds go to the current one, or are answered."""
        instructions: list[Instruction] = []
        for lane in self._lanes:
            for model_key in [k for k in lane.turns() if not self._is_served(k)]:
                for request in lane.remove_all(model_key):
                    if self._moved(request):
                        lane.add(request)
                    else:
                        instructions.append(self._refuse(request, Refusal.MODEL_GONE))
        return instructions

    def _wanted(self) -> list[str]:
        """The models that are waited for."""
        return [model_key for lane in self._lanes for model_key in lane.turns()]

    def _is_served(self, model_key: str) -> bool:
        if model_key in self._generations.get(self._newest, ()):
            return True
        return any(model_key in keys for keys in self._generations.values())

    def _moved(self, request: Request) -> bool:
        """Point a request at its model's current version; False where there is none or it wants its own."""
        current = self._current.get(request.model)
        if current is None or request.pinned:
            return False
        request.model_key = current
        return True

    @staticmethod
    def _refuse(request: Request, refusal: Refusal) -> Refuse:
        request.answered = True
        return Refuse(request, refusal)
