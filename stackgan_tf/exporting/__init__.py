"""From a run to files that others use: a format a file, found by its name in `stackgan_tf.export --format`."""
