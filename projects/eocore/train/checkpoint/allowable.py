"""What may differ from the checkpoint that a run resumes from, where the user names it."""

ALLOWABLE = {
    "schedule": "other max_iters, optimizer or schedule; the new schedule is brought to the step reached",
    "training": "another clip norm, guard or other option of the updates, from here on",
    "data": "another number of samples per update (training.accumulation can keep it on fewer ranks), or other samples in it, from here on",
    "frozen": "other frozen weights than those the trained ones were fitted to",
    "seed": "another order of the data and other random draws from here on; samples of this epoch may come twice or not at all",
    "precision": "another number format, or kernels that round otherwise, from here on",
    "model": "another model or LoRA than the trained weights were fitted to; weights of other names or shapes stay refused",
    "losses": "other losses or weights of them from here on",
    "processor": "images or text are prepared otherwise than the trained weights are used to",
    "task": "other options of the task from here on",
}
"""Kind of difference -> what follows from allowing it by `--allow KIND`."""
