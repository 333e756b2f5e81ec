"""From a run to files that others use.

A format is a file with `write(job: Job, folder: Path)`, which fills a version's folder, and `compare(job, folder)`,
which holds what it wrote against the run.
"""

FORMATS = ("saved_model", "tflite")
# --quantize: name of a .tflite
QUANTIZED = {"none": "float32", "float16": "float16", "dynamic": "dynamic", "int8": "int8"}
