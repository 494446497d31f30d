"""A job by the processes of torchrun: run_square_ranks.py FOLDER LOG NUM_ITEMS [DEADLY]; each writes its rank beside what it worked on."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

if __name__ == "__main__":
    from eocore.jobs.engine import choose_executor, run_job
    from eocore.jobs.job_folder import JobFolder
    from eocore.jobs.ranks import is_first, serve

    folder, log, num_items = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    deadly = tuple(map(int, sys.argv[4:]))
    if not is_first():
        serve()
        print(f"rank {os.environ['RANK']} has ended", flush=True)
        sys.exit(0)
    from works import Square, numbered

    job = JobFolder(folder, {"work": "square"}, chunk_size=3)
    report = run_job(Square(log, pause_s=0.05, deadly=deadly), numbered(num_items), folder=job, executor=choose_executor("torchrun", 0))
    job.close()
    print(f"{report.num_before} before, {report.num_done} done", flush=True)
