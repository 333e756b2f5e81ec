#!/usr/bin/env bash
# A virtual environment that draws with .tflite files, without TensorFlow, in .venv/ here or where it is told.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
environment=${1:-$here/.venv}
python3 -m venv "$environment"
"$environment/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
"$environment/bin/pip" install --quiet --disable-pip-version-check --no-deps -e "$here/../../.."
echo "$environment/bin/python -m stackgan_tf.sample --tflite=FILE --text=... draws"
