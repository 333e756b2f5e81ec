"""The losses: pure functions of tensors, one float32 number an example, [B]."""
