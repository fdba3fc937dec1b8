"""Which request goes to which worker, and when: a pure state machine and the asyncio shell that carries it out."""
