"""What waits for a pool's workers: a queue for each model, its bounds, and whose turn it is. Pure, as the machine is.

Turns are fair by time, not by number: the model whose calls have cost the workers least goes next, so that a model of
slow calls cannot hold up one of quick calls longer than the calls in flight last (start-time fair queueing, Goyal,
Vin and Cheng 1996: a queue that was empty starts level with the one that was served last).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from server.dispatch.messages import Limits, Refusal, Request

POOL_BYTES_FACTOR = 2
"""Byte limit of all queues of a pool together, as a multiple of one queue's limit.

It is above 1, so that one stuck model cannot use up what the others need.
"""
ADMITTED_SHARE = 0.8
"""Share of the longest allowed wait below which a request is let in: the wait may turn out longer than estimated."""
NEWEST = 0.2
"""The weight of the newest observation in a moving average."""
CALL_S = 1e-4
"""What any call costs, so that turns go round while nothing is known of a model yet."""


class Queue:
    """The requests that wait for one model version."""

    __slots__ = ("requests", "size_bytes")

    def __init__(self) -> None:
        self.requests: deque[Request] = deque()
        self.size_bytes = 0


class Queues:
    """All requests of a pool that wait, by model key."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._queues: dict[str, Queue] = {}
        self._service_s: dict[str, float] = {}
        """What a request of a model costs a worker, as a moving average."""
        self._virtual_time_s: dict[str, float] = {}
        """Start tag of each model (start-time fair queueing): the worker seconds that it was charged so far."""
        self._virtual_now_s = 0.0
        """Start tag of the model that was served last. A queue that fills again starts here."""
        self.requests = 0
        self.size_bytes = 0

    def __iter__(self) -> Iterator[Request]:
        for queue in self._queues.values():
            yield from queue.requests

    def first_arrivals(self) -> Iterator[float]:
        """When the request at the head of each queue arrived."""
        return (queue.requests[0].arrived for queue in self._queues.values())

    def turns(self) -> list[str]:
        """The models that are waited for, in the order of their turns."""
        if len(self._queues) < 2:
            return list(self._queues)
        return sorted(self._queues, key=self._virtual_time_s.__getitem__)

    def length(self, model_key: str) -> int:
        """How many requests wait for a model."""
        queue = self._queues.get(model_key)
        return 0 if queue is None else len(queue.requests)

    def offer(self, request: Request, workers: Callable[[], int], now: float) -> Refusal | None:
        """Have a request wait at the end of its model's queue, or say why it may not."""
        limits, size, model_key = self._limits, request.body_bytes, request.model_key
        if self.requests and self.size_bytes + size > POOL_BYTES_FACTOR * limits.queue_max_bytes:
            return Refusal.QUEUE_FULL
        queue = self._queues.get(model_key)
        if queue is None:
            queue = self._open(model_key)
        elif len(queue.requests) >= limits.queue_max_requests or queue.size_bytes + size > limits.queue_max_bytes:
            return Refusal.QUEUE_FULL
        else:
            work_s = self._work_s(model_key, queue)
            patience_s = min(ADMITTED_SHARE * limits.queue_wait_s, request.deadline - now)
            if work_s > patience_s and work_s > patience_s * max(1, workers()):
                return Refusal.OVERLOADED
        request.gives_up = min(request.deadline, now + limits.queue_wait_s)
        queue.requests.append(request)
        queue.size_bytes += size
        self.size_bytes += size
        self.requests += 1
        return None

    def wait_s(self, model_key: str, workers: int) -> float:
        """About how long a new request for this model would wait, if so many workers take turns."""
        queue = self._queues.get(model_key)
        return 0.0 if queue is None else self._work_s(model_key, queue) / max(1, workers)

    def add(self, request: Request, first: bool = False) -> None:
        """Have a request wait that was taken before, at the end of its model's queue or before all others."""
        queue = self._queues.get(request.model_key) or self._open(request.model_key)
        (queue.requests.appendleft if first else queue.requests.append)(request)
        self._count(queue, request, 1)

    def take(self, model_key: str, most: int, now: float) -> list[Request]:
        """Take a model's oldest requests, as many as one call may hold; one that was tried before goes alone."""
        queue = self._queues[model_key]
        taken = [self._first(queue)]
        size = taken[0].body_bytes
        while queue.requests and len(taken) < most and not taken[0].attempts and not queue.requests[0].attempts:
            size += queue.requests[0].body_bytes
            if size > self._limits.batch_max_bytes or queue.requests[0].deadline <= now:
                break
            taken.append(self._first(queue))
        self._drop_if_empty(model_key)
        self._virtual_now_s = self._virtual_time_s[model_key]
        return taken

    def late(self, now: float) -> list[Request]:
        """Take out those that have waited as long as they may."""
        found = [r for r in self if r.gives_up <= now]
        for request in found:
            self.remove(request)
        return found

    def late_first(self, model_key: str, now: float) -> list[Request]:
        """Take out those at the head of a model's queue whose deadline has passed: no worker shall get them."""
        queue, found = self._queues[model_key], []
        while queue.requests and queue.requests[0].deadline <= now:
            found.append(self._first(queue))
        if found:
            self._drop_if_empty(model_key)
        return found

    def remove(self, request: Request) -> bool:
        """Take out one request. False if it does not wait here."""
        queue = self._queues.get(request.model_key)
        if queue is None:
            return False
        try:
            queue.requests.remove(request)
        except ValueError:
            return False
        self._count(queue, request, -1)
        self._drop_if_empty(request.model_key)
        return True

    def remove_all(self, model_key: str) -> list[Request]:
        """Take out all that wait for a model."""
        queue = self._queues.pop(model_key)
        for request in queue.requests:
            self._count(queue, request, -1)
        return list(queue.requests)

    def charge(self, model_key: str, requests: int) -> float:
        """Note that a worker has been given so many requests; what that is expected to cost it, in seconds."""
        expected_s = max(CALL_S, requests * self._service_s.get(model_key, 0.0))
        self._virtual_time_s[model_key] = self._virtual_time_s.get(model_key, 0.0) + expected_s
        return expected_s

    def correct(self, model_key: str, requests: int, cost_s: float, charged_s: float) -> None:
        """Note what a call of so many requests has cost in place of what it was expected to."""
        if model_key in self._virtual_time_s:
            self._virtual_time_s[model_key] += max(CALL_S, cost_s) - charged_s
        known = self._service_s.get(model_key)
        each_s = cost_s / requests
        self._service_s[model_key] = each_s if known is None else (1 - NEWEST) * known + NEWEST * each_s

    def forget_all_but(self, keys: Iterable[str]) -> None:
        """These are the models that there are now."""
        kept = {*keys, *self._queues}
        self._service_s = {model_key: s for model_key, s in self._service_s.items() if model_key in kept}
        self._virtual_time_s = {model_key: s for model_key, s in self._virtual_time_s.items() if model_key in kept}

    def _open(self, model_key: str) -> Queue:
        queue = self._queues[model_key] = Queue()
        self._virtual_time_s[model_key] = max(self._virtual_time_s.get(model_key, 0.0), self._virtual_now_s)
        return queue

    def _work_s(self, model_key: str, queue: Queue) -> float:
        """What waits for a model, in seconds of one worker that all waiting models share."""
        return len(queue.requests) * self._service_s.get(model_key, 0.0) * len(self._queues)

    def _first(self, queue: Queue) -> Request:
        request = queue.requests.popleft()
        self._count(queue, request, -1)
        return request

    def _drop_if_empty(self, model_key: str) -> None:
        if not self._queues[model_key].requests:
            del self._queues[model_key]

    def _count(self, queue: Queue, request: Request, sign: int) -> None:
        self.requests += sign
        self.size_bytes += sign * request.body_bytes
        queue.size_bytes += sign * request.body_bytes
