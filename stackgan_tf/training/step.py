"""One training step, as the papers write it."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from stackgan_tf import objectives
from stackgan_tf.config import Config
from stackgan_tf.data.preprocess import scaled
from stackgan_tf.distribution import replica_rows
from stackgan_tf.models.diff_augment import NUMBERS, diff_augment
from stackgan_tf.quick.batch_norm import batches_apart
from stackgan_tf.structs import Batch, GeneratorOutputs, Logits
from stackgan_tf.training import collapse
from stackgan_tf.training.accumulate import of_this_replica, sum_of_parts
from stackgan_tf.training.ema import decay_at, update_average
from stackgan_tf.training.optimizer import finite_statistics
from stackgan_tf.training.state import TrainState

Metrics = dict[str, tf.Tensor]
Inputs = tuple[Batch, dict[str, tf.Tensor], tf.Tensor]  # the distributed batch; of the global one, noise and numbers

SHOWN = ("real", "mismatched", "fake", "taught")  # images of a step at each scale; by the last G is taught


def draw_noise(
    sizes: dict[str, int], rows: int, seed: int, position: tf.Tensor, eps_distribution: str = "normal"
) -> dict[str, tf.Tensor]:
    """Noise of the global batch, a pure function of (seed, position): `{name: [rows, size]}`.

    Standard normal; with `truncated_normal` all but z are cut off at two standard deviations.

    Each replica takes its own rows, so that any number of replicas sees the same numbers.
    """
    seeds = tf.random.split(tf.stack([tf.constant(seed, tf.int64), position]), len(sizes))
    of_eps = {"normal": tf.random.stateless_normal, "truncated_normal": tf.random.stateless_truncated_normal}
    draws = {name: of_eps[eps_distribution] if name != "z" else tf.random.stateless_normal for name in sizes}
    return {name: draws[name]([rows, size], seeds[i]) for i, (name, size) in enumerate(sizes.items())}


def draw_augmentation(rows: int, scales: int, seed: int, position: tf.Tensor) -> tf.Tensor:
    """Numbers of the global batch for `diff_augment`, as `draw_noise`: [rows, scales, len(SHOWN), NUMBERS] in [0, 1).

    Every image that a D sees has its own.
    """
    seeds = tf.random.experimental.stateless_fold_in(tf.stack([tf.constant(seed, tf.int64), position]), 1)
    return tf.random.stateless_uniform([rows, scales, len(SHOWN), NUMBERS], seeds)


class Part(NamedTuple):
    """Rows of a replica's batch that are computed together, with their noise."""

    batch: Batch
    noise: dict[str, tf.Tensor]
    augmentation: tf.Tensor  # see `draw_augmentation`
    with_next: int | tf.Tensor  # how many of its rows have a next row: all but the last one of the global batch


class Share(NamedTuple):
    """What a part gives to the update of one network: sums over its rows, divided by the global batch."""

    loss: tf.Tensor
    gradients: list[tf.Tensor]
    told: Metrics  # loss terms and other averages


class TrainStep:
    """The step as a `tf.function`: a (distributed) global batch in, averaged loss terms out; changes `state`.

    Beside the terms the metrics have, of each network, the norm of its gradient and what `collapse` and
    `Optimizer.signals` tell.
    """

    def __init__(self, state: TrainState, strategy: tf.distribute.Strategy, config: Config) -> None:
        self.state, self.strategy, self.config = state, strategy, config
        self.batch_size, self.parts = config.train.batch_size, config.train.accumulate
        self.discriminator_weights = objectives.discriminator_weights(config)

    @tf.function(autograph=False)
    def __call__(self, batch: Batch) -> Metrics:
        """One update of every D, then of G, then of its average."""
        state, train = self.state, self.config.train
        sizes, distribution = state.generator.noise_sizes, self.config.model.eps_distribution
        noise = draw_noise(sizes, self.batch_size, train.seed, state.position, distribution)
        numbers = draw_augmentation(self.batch_size, len(state.discriminators), train.seed, state.position)

        def run(lazy: bool) -> Metrics:
            update = self._at_once if self.parts == 1 else self._in_parts
            return update((batch, noise, numbers), lazy)

        with finite_statistics(self.strategy, (state.generator, *state.discriminators), state.healthy):
            metrics = self._with_lazy_penalties(run)
        tf.cond(state.healthy, self._count, lambda: None)
        metrics = {name: self.strategy.experimental_local_results(value)[0] for name, value in metrics.items()}
        signals = {name: optimizer.signals() for name, optimizer in state.optimizers.items()}
        return metrics | {f"{name}/{what}": v for name, told in signals.items() for what, v in told.items()}

    def _with_lazy_penalties(self, run: Callable[[bool], Metrics]) -> Metrics:
        loss = self.config.loss
        if objectives.penalty_weights(loss, lazy=True) == objectives.penalty_weights(loss, lazy=False):
            return run(False)
        # Around `strategy.run`: inside, no branch may speak to other replicas.
        return tf.cond(self.state.step % loss.r1_every_steps == 0, lambda: run(True), lambda: run(False))

    def _count(self) -> None:
        decay = decay_at(self.config.train, self.state.step)
        update_average(self.strategy, self.state.average, self.state.generator, decay)
        self.state.step.assign_add(1)
        self.state.position.assign_add(1)

    def _at_once(self, inputs: Inputs, lazy: bool) -> Metrics:
        """One forward pass of G serves every D, and then G."""

        def of_replica(*inputs: Any) -> Metrics:
            part, metrics = self._part(0, *inputs), {}
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                outputs = self._generate(part, tape)
                with tape.stop_recording():
                    for i in range(len(self.state.discriminators)):
                        metrics |= self._update(f"d{i}", self._discriminator_share(i, part, outputs, lazy))
                share = self._generator_share(part, outputs, tape)
            return _over_replicas(metrics | self._update("g", share))

        return self.strategy.run(of_replica, args=inputs)

    def _in_parts(self, inputs: Inputs, lazy: bool) -> Metrics:
        """The same update from gradients that are summed part by part, in the memory of one part.

        G is updated by the updated D's, so it draws every part twice. Batch norm sees a part at a time.
        """

        def of_discriminators(j: tf.Tensor, *inputs: Any) -> dict[str, Share]:
            part = self._part(j, *inputs)
            outputs = self._generate(part)
            indices = range(len(self.state.discriminators))
            return {f"d{i}": self._discriminator_share(i, part, outputs, lazy) for i in indices}

        def of_generator(j: tf.Tensor, *inputs: Any) -> dict[str, Share]:
            part = self._part(j, *inputs)
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                return {"g": self._generator_share(part, self._generate(part, tape), tape)}

        def update(shares: Sequence[dict[str, Share]]) -> Metrics:
            told = [self._update(network, share) for network, share in of_this_replica(shares).items()]
            return _over_replicas({name: value for metrics in told for name, value in metrics.items()})

        metrics: Metrics = {}
        for of_part in (of_discriminators, of_generator):
            shares = sum_of_parts(self.strategy, of_part, self.parts, inputs)
            metrics |= self.strategy.run(update, args=(shares,))
        return metrics

    def _part(self, j: int | tf.Tensor, batch: Batch, noise: dict[str, tf.Tensor], numbers: tf.Tensor) -> Part:
        """Of this replica's rows of the global batch."""
        rows = replica_rows(self.batch_size)
        noise, numbers = tf.nest.map_structure(lambda value: value[rows], (noise, numbers))
        size = numbers.shape[0] // self.parts
        ends = rows.stop == self.batch_size
        if self.parts == 1:
            return Part(batch, noise, numbers, size - ends)
        batch, noise, numbers = tf.nest.map_structure(
            lambda v: v if v is None else tf.reshape(v, (self.parts, size, *v.shape[1:]))[j], (batch, noise, numbers)
        )
        # A tensor in every replica: where shapes are known, synchronised batch norm's gradient says less to the others.
        return Part(batch, noise, numbers, size - tf.cast(ends & (j == self.parts - 1), tf.int32))

    def _update(self, network: str, share: Share) -> Metrics:
        norm = self.state.optimizers[network].apply(share.loss, share.gradients)
        told = share.told | {"loss": share.loss, "gradient_norm": norm}
        return {f"{network}/{name}": value for name, value in told.items()}

    def _generate(self, part: Part, tape: tf.GradientTape | None = None) -> GeneratorOutputs:
        generator, text = self.state.generator, part.batch.text_embedding
        if tape:
            tape.watch([v.value for v in generator.trainable_variables])
        return generator(**part.noise, **({} if text is None else {"text_embedding": text}), training=True)

    def _generator_share(self, part: Part, outputs: GeneratorOutputs, tape: tf.GradientTape) -> Share:
        judges = self.state.discriminators
        judged = enumerate(outputs.images[-len(judges) :])
        shown = [self._shown("taught", i, images, part) for i, images in judged]
        terms = self._average(objectives.generator_terms(judges, outputs, self.config, shown))
        loss = objectives.weighted_sum(terms, objectives.generator_weights(self.config.loss, terms))
        gradients = self.state.generator_optimizer.gradients(loss, tape)
        with tape.stop_recording():
            diversity = collapse.diversity(outputs.images[-1], self.batch_size // self.parts)
            return Share(loss, gradients, terms | self._average({"diversity": diversity}))

    def _discriminator_share(self, i: int, part: Part, outputs: GeneratorOutputs, lazy: bool) -> Share:
        """Neither G nor mu learns from it."""
        loss_config = self.config.loss
        penalties = objectives.penalty_weights(loss_config, lazy)
        real = self._shown("real", i, scaled(part.batch.images[i]), part)
        fake = outputs.images[i - len(self.state.discriminators)]
        fake = self._shown("fake", i, tf.stop_gradient(fake), part)
        condition = None if outputs.mu is None else tf.stop_gradient(outputs.mu)
        d, batches = self.state.discriminators[i], self._batches_at_once(part, penalties)
        with tf.GradientTape(watch_accessed_variables=False) as tape, batches_apart(d, batches):
            tape.watch([v.value for v in d.trainable_variables])
            with tf.GradientTape(persistent=True, watch_accessed_variables=False) as by_inputs:
                by_inputs.watch([v for v in (real, condition) if v is not None and penalties])
                pairs = self._pairs(i, part, real, fake, condition, at_once=batches > 1)
            judged = objectives.discriminator_terms(pairs, part.batch.mismatched_weight, loss_config)
            judged |= objectives.penalty_terms(penalties, pairs["real"], real, condition, by_inputs.gradient)
            weights = self.discriminator_weights | penalties
            terms = self._average({name: judged[name] for name in weights})
            loss = objectives.weighted_sum(terms, weights)
            gradients = self.state.discriminator_optimizers[i].gradients(loss, tape)
        terms.pop("r1", None)  # not in every step: the loss tells of it
        return Share(loss, gradients, terms | self._average(collapse.accuracy(pairs)))

    def _batches_at_once(self, part: Part, penalties: dict[str, float]) -> int:
        """How many batches a D sees in one pass: the same numbers as in a pass each, in less time.

        One by one where one pass would not be the same (the spectral norm's u moves once a pass), or would cost more
        (a penalty's gradient of the real batch would go through all of them).
        """
        model = self.config.model
        if model.family != "v2" or model.spectral_norm or penalties:
            return 1
        return 2 if part.batch.mismatched_images is None else 3

    def _pairs(
        self, i: int, part: Part, real: tf.Tensor, fake: tf.Tensor, condition: tf.Tensor | None, at_once: bool
    ) -> dict[str, Logits]:
        """What D_i says of its three kinds of pairs."""
        generator, d, batch = self.state.generator, self.state.discriminators[i], part.batch
        if self.config.model.family == "v2":
            mismatched = batch.mismatched_images and self._shown(
                "mismatched", i, scaled(batch.mismatched_images[i]), part
            )
            return objectives.pairs_v2(d, real, mismatched, fake, condition, at_once)
        reader = generator.conditioning or generator.stage1.conditioning  # where Stage-II does not read the text
        following = tf.stop_gradient(reader.gaussian(batch.mismatched_text_embedding)[0])
        return objectives.pairs_v1(d, real, fake, condition, following, part.with_next)

    def _shown(self, kind: str, i: int, images: tf.Tensor, part: Part) -> tf.Tensor:
        """Images as D_i shall see them."""
        return diff_augment(images, part.augmentation[:, i, SHOWN.index(kind)], self.config.loss.diff_augment)

    def _average(self, terms: objectives.Terms) -> objectives.Terms:
        """This replica's share of the mean over the global batch."""
        return {name: tf.reduce_sum(term) / self.batch_size for name, term in terms.items()}


def _over_replicas(metrics: Metrics) -> Metrics:
    """The sum of every replica's shares."""
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, metrics)
