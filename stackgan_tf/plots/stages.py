"""StackGAN-v1: what Stage-I sketched beside what Stage-II made of it."""

from matplotlib.figure import Figure

from stackgan_tf.errors import UserError
from stackgan_tf.plots import Request
from stackgan_tf.plots._page import Row, page

ROWS = 4


def draw(request: Request) -> Figure:
    """A row for each sample of a Stage-II run.

    Raises:
        UserError: the run is of another family.
    """
    model = request.artist.config.model
    if model.family != "v1_stage2":
        raise UserError(f"--kind=stages: {request.run_dir} is a {model.name}; give the run of a v1_stage2")
    captions, images = request.samples(request.rows(ROWS))
    rows = [Row([scale[i] for scale in images.values()], caption) for i, caption in enumerate(captions)]
    return page(rows, [f"{name}, {side} pixels" for name, side in zip(("Stage-I", "Stage-II"), images, strict=True)])
