"""VNBench in its layout: videos of land with a sign on one frame."""

from pathlib import Path

import numpy as np

from eocore.synthetic.needles import COLOUR, CONTENTS, SHAPE, paste_sign
from eocore.synthetic.test_sets.images import MadeScenes, rgb_picture, save_json
from eocore.synthetic.video_files import write_video

FRAMES = 6
TRIES = 4
MADE_SEED = 12


def write_vnbench(root: Path, scenes: MadeScenes) -> None:
    """VNBench-main-4try.json and video/<n>.mp4; the options of a video's questions stand in another order each time."""
    entries = []
    for number, scene in enumerate(scenes.scenes):
        rng = np.random.default_rng([MADE_SEED, number])
        colours = [str(name) for name in rng.permutation(CONTENTS[COLOUR])[:TRIES]]
        frames = [rgb_picture(scene)] * FRAMES
        shown = int(rng.integers(FRAMES))
        frames[shown] = paste_sign(frames[shown], {COLOUR: colours[0], SHAPE: "disc"}, rng=rng)
        write_video(root / "video" / f"ret_insert1_{number}.mp4", frames)
        entries += [
            {
                "video": f"VNBench/ret_insert1_{number}.mp4",
                "question": "Which colour is the sign in this video?",
                "options": [*colours[turn:], *colours[:turn]],
                "gt": colours[0],
                "type": "ret_insert1",
                "try": turn,
            }
            for turn in range(TRIES)
        ]
    save_json(root / "VNBench-main-4try.json", entries)
