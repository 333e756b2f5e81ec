"""From a run to files that others use.

A format is a file with `write(job: Job, folder: Path)`, which fills a version's folder, and `compare(job, folder)`,
which holds what it wrote against the run.
"""

FORMATS = ("saved_model", "tflite")
