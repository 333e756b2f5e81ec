"""Replicas and the batch."""

import pytest

from stackgan_tf.distribution import make_strategy
from stackgan_tf.errors import UserError
from stackgan_tf.training.checks import check
from tests.conftest import tiny_config


@pytest.mark.parametrize("batch_size, instead", [(7, 6), (1, 2)])
def test_a_batch_that_the_replicas_do_not_divide(batch_size, instead):
    with pytest.raises(UserError, match=f"batch_size={batch_size}: 2 replicas do not divide it; use {instead}"):
        make_strategy(batch_size)


def test_v1_needs_two_images_a_replica(tmp_path):
    with pytest.raises(UserError, match="batch_size=2: v1 pairs neighbours, so that each of 2 replicas needs two"):
        check(tiny_config("v1_stage1", train={"batch_size": 2}), tmp_path / "run", "auto", replicas=2)
    check(tiny_config("v1_stage1", train={"batch_size": 4}), tmp_path / "run", "auto", replicas=2)
