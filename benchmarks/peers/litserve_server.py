"""LitServe as its reference advises: a worker a core, as many HTTP servers, batches, ZeroMQ above 100 requests/s."""

import os

import litserve

from benchmarks.peers import scoring


class Api(litserve.LitAPI):
    """Not annotated, as in LitServe's documentation: it reads annotations and parses or validates by them."""

    def setup(self, device):
        self.scorer = scoring.scorer_of_peer()

    def decode_request(self, request):
        return self.scorer.decode(request)

    def batch(self, inputs):
        return inputs

    def predict(self, x):
        return self.scorer.predict(x)

    def unbatch(self, output):
        return output

    def encode_response(self, output):
        return {"predictions": [output]}


if __name__ == "__main__":
    server = litserve.LitServer(
        Api(max_batch_size=int(os.environ["PEER_BATCH"]), batch_timeout=float(os.environ["PEER_WAIT_MS"]) / 1e3),
        accelerator=os.environ["PEER_DEVICE"],
        workers_per_device=int(os.environ["PEER_WORKERS"]),
        fast_queue=True,
    )
    server.run(host="127.0.0.1", port=int(os.environ["PEER_PORT"]), log_level="warning", generate_client_file=False)
