"""A job as a program, to be killed: python run_square.py FOLDER LOG NUM_ITEMS NUM_WORKERS."""

import sys
from pathlib import Path

from eocore.jobs.engine import local_executor, run_job
from eocore.jobs.job_folder import JobFolder

sys.path.insert(0, str(Path(__file__).parent))

if __name__ == "__main__":
    from works import Square, numbered

    folder, log, num_items, num_workers = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    job = JobFolder(folder, {"work": "square"}, chunk_size=3)
    run_job(Square(log, pause_s=0.005), numbered(num_items), folder=job, executor=local_executor(num_workers))
    job.close()
