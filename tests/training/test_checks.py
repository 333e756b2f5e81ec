"""What may change when a run goes on."""

import pytest

from stackgan_tf import config as configs
from stackgan_tf.errors import UserError
from stackgan_tf.training.checks import check_run_dir
from tests.conftest import tiny_config


@pytest.mark.parametrize("decay", ["none", "linear", "cosine"])
def test_a_run_may_become_longer_unless_its_rates_are_set_by_its_length(decay, tmp_path):
    config, longer = (tiny_config(optimizer={"decay": decay}, train={"steps": steps}) for steps in (4, 8))
    (tmp_path / "config.yaml").write_text(configs.dump(config))
    assert not check_run_dir(tmp_path, config, "auto")
    if decay == "none":
        assert not check_run_dir(tmp_path, longer, "auto")
    else:
        with pytest.raises(UserError, match="another configuration \\(train.steps was 4, now 8\\)"):
            check_run_dir(tmp_path, longer, "auto")
