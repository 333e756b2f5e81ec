"""The training of StackGANs, in TensorFlow: strategy, state, step and loop."""
