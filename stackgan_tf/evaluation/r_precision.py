"""R-precision: does a picture find its caption among 99 others?"""

from typing import TYPE_CHECKING

import numpy as np

from stackgan_tf.data.pipeline import OtherClass
from stackgan_tf.evaluation.metric import Metric, Score, Seen

if TYPE_CHECKING:
    from stackgan_tf.evaluation.plan import Plan

OTHERS = 99


class RPrecision(Metric):
    """The share of pictures whose own caption has the highest score; 1 % is chance. With its standard error.

    Score: the product of the embeddings of picture and sentence by encoders that were learnt together. The 99 others
    are captions of other classes, drawn by the number of the sample alone.

    Source: Xu et al. (AttnGAN), CVPR 2018, section 4.1, R = 1.
    Deviation: the encoders are those of Reed et al. (`stackgan_tf.train_text_encoder`), and score by the product that
    they were trained with; DAMSM's by the cosine.
    """

    needs = "joint"
    unsaved = frozenset({"plan", "other"})

    def __init__(self, count: int, plan: "Plan") -> None:
        super().__init__(count, plan)
        labels = plan.records.labels
        one_class = (labels == labels[0]).all()  # then the others are captions of other images
        self.plan, self.other = plan, OtherClass(np.arange(len(labels)) if one_class else labels)
        self.hits = np.zeros(count, bool)

    def add(self, seen: Seen) -> None:
        """Asks each picture."""
        records, captions = self.plan.record(seen.numbers), self.plan.caption(seen.numbers)
        for number, image, record, caption in zip(seen.numbers, seen.features, records, captions, strict=True):
            own = self.plan.joint.of(record, np.array([caption]))
            own_score, others = own @ image, self._others(int(number), record) @ image
            self.hits[number] = own_score[0] > others.max()

    def _others(self, number: int, record: int) -> np.ndarray:
        """Embeddings of captions of other classes, [99, T]."""
        rng = np.random.default_rng((0, number))
        records = self.other.draw(np.full(OTHERS, record), rng)
        captions = rng.integers(self.plan.records.index.caption_counts[records])
        return np.concatenate([self.plan.joint.of(*row) for row in zip(records, captions[:, None], strict=True)])

    def scores(self, real: "RPrecision") -> dict[str, Score]:
        """The share, and that of the real photographs."""
        share, count = float(self.hits.mean()), len(self.hits)
        return {"": Score(share, float(np.sqrt(share * (1 - share) / count)), float(real.hits.mean()))}
