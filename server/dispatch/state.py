"""The dispatch machine: every decision about queues, batches, retries and deadlines, and nothing else.

Events are its methods, each takes the time as an argument where it matters and returns instructions; a shell carries
them out. It never performs I/O, reads no clock and knows no asyncio, so that each hard case (a worker lost in flight,
a model swapped while requests wait) is a few lines of test.

Work-conserving batching: an idle worker takes, at once, everything queued for one model up to the limits. Nobody waits
for a timer; under load batches grow by themselves, because requests pile up while the workers are busy.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

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

MAX_ATTEMPTS = 2


class _Worker:
    __slots__ = ("batch", "generation", "killed", "name", "requests", "sent")

    def __init__(self, name: str, generation: int) -> None:
        self.name = name
        self.generation = generation
        self.batch = 0
        self.requests: list[Request] | None = None
        self.sent = 0.0
        self.killed = False


class DispatchState:
    """The machine of one pool in one web process."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._generations: dict[int, dict[str, ModelPolicy]] = {}
        self._current: dict[str, str] = {}
        self._newest = 0
        self._workers: dict[str, _Worker] = {}
        self._queues: dict[str, deque[Request]] = {}
        self._request_s: dict[str, float] = {}
        self._batch = 0
        self.queued_requests = 0
        self.queued_bytes = 0

    # What an observer may ask

    @property
    def workers(self) -> int:
        """Workers that can take requests for the newest generation."""
        return sum(w.generation == self._newest and not w.killed for w in self._workers.values())

    @property
    def idle(self) -> bool:
        """True when nothing waits and nothing is in flight."""
        return not self.queued_requests and all(w.requests is None for w in self._workers.values())

    # Events

    def on_submit(self, request: Request) -> Refusal | None:
        """A request arrived. A refusal means that it was not taken; else it waits until `assign`."""
        limits = self._limits
        if self.queued_requests >= limits.queue_max_requests:
            return Refusal.QUEUE_FULL
        if self.queued_bytes + request.body_bytes > limits.queue_max_bytes and self.queued_requests:
            return Refusal.QUEUE_FULL
        # Its version may have left while its body came in.
        if not self._held(request.model_key) and not self._moved(request):
            return Refusal.MODEL_GONE
        self._enqueue(request)
        return None

    def on_worker(self, worker: str, generation: int) -> None:
        """A worker has been connected and has answered."""
        self._workers[worker] = _Worker(worker, generation)

    def on_generation(self, generation: Generation) -> list[Instruction]:
        """From now on this generation's workers serve; older ones finish what only they can do, then leave."""
        self._newest = generation.number
        self._generations[generation.number] = dict(generation.models)
        self._current = {p.model: key for key, p in generation.models.items() if p.current}
        return self._retire() + self._rehome()

    def on_reply(self, worker: str, batch: int, results: int, predict_s: float) -> list[Request] | None:
        """A worker answered a batch with so many results: its requests in order, or None if it was given another."""
        state = self._workers.get(worker)
        if state is None or state.requests is None or state.batch != batch or len(state.requests) != results:
            return None
        requests, state.requests = state.requests, None
        key = requests[0].model_key
        self._request_s[key] = 0.8 * self._request_s.get(key, 0.0) + 0.2 * predict_s / len(requests)
        return requests

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
                self._enqueue(request, first=True)
        return instructions + self._retire() + self._rehome()

    def on_time(self, now: float) -> list[Instruction]:
        """Time has passed: answer what is late, and kill workers that are still busy with it."""
        instructions: list[Instruction] = []
        refusal = Refusal.DEADLINE if self._workers else Refusal.NO_WORKER
        for key, queue in list(self._queues.items()):
            late = [r for r in queue if r.deadline <= now]
            for request in late:
                queue.remove(request)
                self._count(request, -1)
                instructions.append(self._refuse(request, refusal))
            if late and not queue:
                del self._queues[key]
        for worker in self._workers.values():
            instructions += self._late(worker, now)
        return instructions

    def assign(self, now: float) -> list[Instruction]:
        """Give every idle worker what it can take. The shell calls this once after a burst of events."""
        instructions = self._retire() if len(self._generations) > 1 else []
        idle = [w for w in self._workers.values() if w.requests is None and not w.killed]
        while idle and self.queued_requests:
            sent = self._take(idle, now)
            if sent is None:
                break
            instructions.append(sent)
        return instructions

    # How

    def _take(self, idle: list[_Worker], now: float) -> Send | None:
        for key in self._queues:
            for worker in idle:
                policy = self._policy(worker, key)
                if policy is not None:
                    requests = self._cut(key, policy, len(idle))
                    idle.remove(worker)
                    return self._send(worker, key, requests, now)
        return None

    def _policy(self, worker: _Worker, key: str) -> ModelPolicy | None:
        """How this worker may call that model; a worker of an old generation only takes what no newer one holds."""
        if worker.generation != self._newest and key in self._generations.get(self._newest, {}):
            return None
        return self._generations.get(worker.generation, {}).get(key)

    def _cut(self, key: str, policy: ModelPolicy, idle_workers: int) -> list[Request]:
        """The head of a model's queue that one call may hold; a queue of slow calls is spread over idle workers."""
        queue = self._queues.pop(key)
        most = min(policy.max_requests, self._limits.batch_max_requests)
        if idle_workers > 1 and len(queue) * self._request_s.get(key, 0.0) > self._limits.spread_above_s:
            most = min(most, -(-len(queue) // idle_workers))
        requests = [self._dequeue(queue)]
        size = requests[0].body_bytes
        while queue and len(requests) < most and not requests[0].attempts and not queue[0].attempts:
            size += queue[0].body_bytes
            if size > self._limits.batch_max_bytes:
                break
            requests.append(self._dequeue(queue))
        if queue:
            self._queues[key] = queue  # at the end: the next turn is another model's
        return requests

    def _send(self, worker: _Worker, key: str, requests: list[Request], now: float) -> Send:
        self._batch = self._batch % 0xFFFFFFFF + 1
        worker.batch, worker.requests, worker.sent = self._batch, requests, now
        for request in requests:
            request.attempts += 1
            request.sent = now
        return Send(worker.name, self._batch, key, requests)

    def _late(self, worker: _Worker, now: float) -> Iterable[Instruction]:
        if worker.requests is None:
            return
        late = [r for r in worker.requests if r.deadline <= now]
        for request in late:
            if not request.answered:
                yield self._refuse(request, Refusal.DEADLINE)
        # A request that had waited long may reach a worker just before its deadline: that is not the worker's fault,
        # so it is killed only if the call itself has lasted too.
        if late and not worker.killed and now >= worker.sent + self._limits.kill_after_s:
            worker.killed = True
            yield Kill(worker.name)

    def _retire(self) -> list[Instruction]:
        """Close idle workers of old generations for which nothing is queued that only they can serve."""
        instructions: list[Instruction] = []
        newest = self._generations.get(self._newest, {})
        for worker in list(self._workers.values()):
            if worker.generation >= self._newest or worker.requests is not None:
                continue
            own = self._generations.get(worker.generation, {})
            if any(key in own and key not in newest for key in self._queues):
                continue
            del self._workers[worker.name]
            instructions.append(Close(worker.name))
        held = {w.generation for w in self._workers.values()} | {self._newest}
        self._generations = {n: keys for n, keys in self._generations.items() if n in held}
        self._request_s = {key: s for key, s in self._request_s.items() if key in newest}
        return instructions

    def _rehome(self) -> list[Instruction]:
        """Requests whose model version no living generation holds go to the current one, or are answered."""
        instructions: list[Instruction] = []
        for key in [k for k in self._queues if not self._held(k)]:
            for request in self._queues.pop(key):
                self._count(request, -1)
                if self._moved(request):
                    self._enqueue(request)
                else:
                    instructions.append(self._refuse(request, Refusal.MODEL_GONE))
        return instructions

    def _held(self, key: str) -> bool:
        return any(key in keys for keys in self._generations.values())

    def _moved(self, request: Request) -> bool:
        """Point a request at its model's current version; False where there is none or it wants its own."""
        current = self._current.get(request.model)
        if current is None or request.pinned:
            return False
        request.model_key = current
        return True

    def _enqueue(self, request: Request, first: bool = False) -> None:
        queue = self._queues.setdefault(request.model_key, deque())
        (queue.appendleft if first else queue.append)(request)
        self._count(request, 1)

    def _dequeue(self, queue: deque[Request]) -> Request:
        request = queue.popleft()
        self._count(request, -1)
        return request

    def _count(self, request: Request, sign: int) -> None:
        self.queued_requests += sign
        self.queued_bytes += sign * request.body_bytes

    @staticmethod
    def _refuse(request: Request, refusal: Refusal) -> Refuse:
        request.answered = True
        return Refuse(request, refusal)
