"""R-precision: does a picture find its caption among 99 others?"""

from typing import TYPE_CHECKING

import numpy as np

from stackgan_tf.errors import UserError
from stackgan_tf.evaluation.metric import Metric, Score, Seen

if TYPE_CHECKING:
    from stackgan_tf.evaluation.plan import Plan

OTHERS = 99


class RPrecision(Metric):
    """The share of pictures whose own caption has the highest score; 1 % is chance. With its standard error.

    Score: the product of the embeddings of picture and sentence by encoders that were learnt together. The 99 others
    are different captions of other classes, drawn by the number of the sample alone.

    Source: Xu et al. (AttnGAN), CVPR 2018, section 4.1, R = 1.
    Deviation: the encoders are those of Reed et al. (`stackgan_tf.train_text_encoder`), and score by the product that
    they were trained with; DAMSM's by the cosine.
    """

    needs = "joint"
    unsaved = frozenset({"plan", "of_record", "of_caption"})

    def __init__(self, count: int, plan: "Plan") -> None:
        super().__init__(count, plan)
        self.plan, self.hits = plan, np.zeros(count, bool)
        labels, counts = plan.records.labels, plan.records.index.caption_counts
        one_class = (labels == labels[0]).all()  # then the others are captions of other images
        self.of_record = np.arange(len(labels)) if one_class else labels
        self.of_caption = np.repeat(self.of_record, counts)  # of each row of the embeddings
        if len(self.of_caption) - np.unique(self.of_caption, return_counts=True)[1].max() < OTHERS:
            raise UserError(f"--protocol=r_precision: needs {OTHERS} captions of other classes; the split has fewer")

    def add(self, seen: Seen) -> None:
        """Asks each picture."""
        records, captions = self.plan.record(seen.numbers), self.plan.caption(seen.numbers)
        for number, image, record, caption in zip(seen.numbers, seen.features, records, captions, strict=True):
            own = self.plan.joint.of(record, np.array([caption])) @ image
            others = self.plan.joint.rows[self.others(int(number), record)] @ image
            self.hits[number] = own[0] > others.max()

    def others(self, number: int, record: int) -> np.ndarray:
        """Rows of different captions of other classes, [99]."""
        rng = np.random.default_rng((0, number))
        for drawn in (4 * OTHERS, len(self.of_caption)):
            rows = rng.choice(len(self.of_caption), min(drawn, len(self.of_caption)), replace=False)
            rows = rows[self.of_caption[rows] != self.of_record[record]]
            if len(rows) >= OTHERS:
                break
        return rows[:OTHERS]

    def scores(self, real: "RPrecision") -> dict[str, Score]:
        """The share, and that of the real photographs."""
        share, count = float(self.hits.mean()), len(self.hits)
        return {"": Score(share, float(np.sqrt(share * (1 - share) / count)), float(real.hits.mean()))}
