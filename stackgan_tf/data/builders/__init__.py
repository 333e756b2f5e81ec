"""One TFDS builder a file; the file's name is the data set's."""
