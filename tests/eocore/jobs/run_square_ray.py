"""A job on a Ray cluster, to be killed: run_square_ray.py ADDRESS FOLDER LOG NUM_ITEMS."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

if __name__ == "__main__":
    from works import Square, numbered

    from eocore.jobs.engine import run_job
    from eocore.jobs.job_folder import JobFolder
    from eocore.jobs.ray_actors import RayActors

    address, folder, log, num_items = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
    job = JobFolder(folder, {"work": "square"}, chunk_size=3)
    report = run_job(Square(log, pause_s=0.1), numbered(num_items), folder=job, executor=RayActors(2, address=address))
    job.close()
    print(f"{report.num_before} before, {report.num_done} done", flush=True)
