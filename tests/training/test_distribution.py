"""Replicas and the batch."""

import pytest

from stackgan_tf.errors import UserError
from stackgan_tf.training.distribution import make_strategy


@pytest.mark.parametrize("batch_size, instead", [(7, 6), (1, 2)])
def test_a_batch_that_the_replicas_do_not_divide(batch_size, instead):
    with pytest.raises(UserError, match=f"batch_size={batch_size}: 2 replicas do not divide it; use {instead}"):
        make_strategy(batch_size)
