"""Invented samples and predictions: 40 scenes, half of them cloudy, on which fused input is best."""

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from pycocotools import mask as coco

from eocore.evaluate.predictions import Prediction

RIGHT = {"optical": {False: 0.9, True: 0.3}, "sar": {False: 0.5, True: 0.5}, "fused": {False: 0.9, True: 0.85}}
CANDIDATES = ["forest", "water", "crops", "houses"]


def rle(mask: np.ndarray) -> dict:
    packed = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": [int(side) for side in packed["size"]], "counts": packed["counts"].decode()}


def box(height: int, width: int, *, top: int, left: int, side: int) -> np.ndarray:
    mask = np.zeros((height, width), dtype=bool)
    mask[top : top + side, left : left + side] = True
    return mask


def ask_choice(sample_id: str, **changes) -> Prediction:
    meta = {"candidates": CANDIDATES, "type": "presence", "cloudy": False}
    return replace(Prediction(sample_id, "mcq", (f"{sample_id}.png",), "optical", "What is it?", None, "water", meta), **changes)


@pytest.fixture(scope="session")
def expected() -> list[Prediction]:
    """Three questions of two types and one phrase per scene, under three settings, not predicted yet."""
    samples = []
    for setting in RIGHT:
        for scene in range(40):
            images, cloudy = (f"{scene:03d}.png",), scene % 2 == 1
            meta = {"cloudy": cloudy, "type": "presence" if scene % 4 < 2 else "count"}
            choice = ask_choice(
                f"q{scene}", image_ids=images, sensor=setting, ground_truth=CANDIDATES[scene % 4], meta={**meta, "candidates": CANDIDATES}
            )
            truth = rle(box(48, 48, top=8 + scene % 9, left=10, side=16))
            samples += [
                choice,
                Prediction(f"v{scene}", "vqa", images, setting, "Is there water?", None, "yes" if scene % 3 else "no", meta),
                Prediction(f"c{scene}", "chat", images, setting, "Describe.", None, "A scene.", meta),
                Prediction(f"r{scene}", "referring", images, setting, "Segment it.", None, "", {"cloudy": cloudy}, (), (truth,)),
            ]
    return samples


@pytest.fixture(scope="session")
def predicted(expected: list[Prediction]) -> list[Prediction]:
    """The same, predicted: right with the probability of RIGHT."""
    rng = np.random.default_rng(0)
    done = []
    for sample in expected:
        right = rng.random() < RIGHT[sample.sensor][sample.meta["cloudy"]]
        if sample.task == "referring":
            shift = 1 if right else 12
            drawn = rle(box(48, 48, top=8 + int(sample.sample_id[1:]) % 9 + shift, left=10 + shift, side=16))
            done.append(replace(sample, prediction="Sure, [SEG].", prediction_masks=(drawn,)))
        elif sample.task == "mcq":
            wrong = CANDIDATES[(CANDIDATES.index(sample.ground_truth) + 1) % 4]
            done.append(replace(sample, prediction=sample.ground_truth if right else wrong))
        else:
            done.append(replace(sample, prediction=sample.ground_truth if right else "no" if sample.ground_truth == "yes" else "yes"))
    return done


Reply = str | int | float | bytes
"""What to do with a request: a text is the reply, a whole number an HTTP status, a real number seconds of silence before "5", bytes the
raw body."""


class JudgeServer(ThreadingHTTPServer):
    """A real HTTP server that speaks as much of the OpenAI interface as a judge needs, and misbehaves as it is told.

    Gives the replies in turn, the last one for ever; keeps what it was asked.
    """

    daemon_threads = True

    def __init__(self, replies: Sequence[Reply]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.replies, self.asked, self.lock = list(replies), [], threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def take(self) -> Reply:
        with self.lock:
            return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


class _Handler(BaseHTTPRequestHandler):
    server: JudgeServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append({"path": self.path, "body": body, "authorization": self.headers["Authorization"]})
        reply = self.server.take()
        if isinstance(reply, int):
            self.send_error(reply)
            return
        if isinstance(reply, float):
            time.sleep(reply)
            reply = "5"
        content = reply if isinstance(reply, bytes) else json.dumps({"choices": [{"message": {"content": reply}}]}).encode()
        try:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except OSError:
            pass  # the client has gone: it waited long enough

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def judge_server():
    """judge_server(*replies): a context in which the server runs."""
    return _serve


@contextmanager
def _serve(*replies: Reply) -> Iterator[JudgeServer]:
    with JudgeServer(replies) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()
