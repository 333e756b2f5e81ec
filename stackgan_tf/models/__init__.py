"""The networks, in `keras.ops` and `keras.layers` only."""
