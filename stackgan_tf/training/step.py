"""One training step, as the papers write it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from stackgan_tf import objectives
from stackgan_tf.config import Config
from stackgan_tf.data.preprocess import scaled
from stackgan_tf.distribution import replica_rows
from stackgan_tf.structs import Batch, GeneratorOutputs, Logits
from stackgan_tf.training import collapse
from stackgan_tf.training.ema import update_average
from stackgan_tf.training.optimizer import finite_statistics
from stackgan_tf.training.state import TrainState

Metrics = dict[str, tf.Tensor]


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


class Part(NamedTuple):
    """Rows of a replica's batch that are computed together, with their noise."""

    batch: Batch
    noise: dict[str, tf.Tensor]
    ends: bool  # whether its last row is that of the global batch, which has no next row


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
        with finite_statistics(self.strategy, (state.generator, *state.discriminators), state.healthy):
            metrics = self.strategy.run(self._replica_step, args=(batch, noise))
        tf.cond(state.healthy, self._count, lambda: None)
        metrics = {name: self.strategy.experimental_local_results(value)[0] for name, value in metrics.items()}
        signals = {name: optimizer.signals() for name, optimizer in state.optimizers.items()}
        return metrics | {f"{name}/{what}": v for name, told in signals.items() for what, v in told.items()}

    def _count(self) -> None:
        update_average(self.strategy, self.state.average, self.state.generator, self.config.train.ema_decay)
        self.state.step.assign_add(1)
        self.state.position.assign_add(1)

    def _replica_step(self, batch: Batch, noise: dict[str, tf.Tensor]) -> Metrics:
        rows = replica_rows(self.batch_size)
        noise = {name: value[rows] for name, value in noise.items()}
        if self.parts == 1:
            metrics = self._at_once(Part(batch, noise, rows.stop == self.batch_size))
        else:
            metrics = self._in_parts(batch, noise, rows)
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, metrics)

    def _at_once(self, part: Part) -> Metrics:
        """One forward pass of G serves every D, and then G."""
        metrics: Metrics = {}
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            outputs = self._generate(part, tape)
            with tape.stop_recording():
                for i in range(len(self.state.discriminators)):
                    metrics |= self._update(f"d{i}", self._discriminator_share(i, part, outputs))
            share = self._generator_share(outputs, tape)
        return metrics | self._update("g", share)

    def _in_parts(self, batch: Batch, noise: dict[str, tf.Tensor], rows: slice) -> Metrics:
        """The same update from gradients that are summed part by part, in the memory of one part.

        G is updated by the updated D's, so it draws every part twice. Batch norm sees a part at a time.
        """
        count, metrics = len(self.state.discriminators), {}
        size = (rows.stop - rows.start) // self.parts

        def part(j: int) -> Part:
            own = slice(j * size, (j + 1) * size)
            taken = tf.nest.map_structure(lambda v: v if v is None else v[own], (batch, noise))
            return Part(*taken, ends=rows.start + own.stop == self.batch_size)

        def of_discriminators(part: Part) -> list[Share]:
            outputs = self._generate(part)
            return [self._discriminator_share(i, part, outputs) for i in range(count)]

        def of_generator(part: Part) -> Share:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                return self._generator_share(self._generate(part, tape), tape)

        for i, share in enumerate(_in_turn(of_discriminators, part, self.parts)):
            metrics |= self._update(f"d{i}", share)
        return metrics | self._update("g", _in_turn(of_generator, part, self.parts))

    def _update(self, network: str, share: Share) -> Metrics:
        norm = self.state.optimizers[network].apply(share.loss, share.gradients)
        told = share.told | {"loss": share.loss, "gradient_norm": norm}
        return {f"{network}/{name}": value for name, value in told.items()}

    def _generate(self, part: Part, tape: tf.GradientTape | None = None) -> GeneratorOutputs:
        generator, text = self.state.generator, part.batch.text_embedding
        if tape:
            tape.watch([v.value for v in generator.trainable_variables])
        return generator(**part.noise, **({} if text is None else {"text_embedding": text}), training=True)

    def _generator_share(self, outputs: GeneratorOutputs, tape: tf.GradientTape) -> Share:
        terms = self._average(objectives.generator_terms(self.state.discriminators, outputs, self.config))
        loss = objectives.weighted_sum(terms, objectives.generator_weights(self.config.loss, terms))
        gradients = self.state.generator_optimizer.gradients(loss, tape)
        with tape.stop_recording():
            diversity = collapse.diversity(outputs.images[-1], self.batch_size // self.parts)
            return Share(loss, gradients, terms | self._average({"diversity": diversity}))

    def _discriminator_share(self, i: int, part: Part, outputs: GeneratorOutputs) -> Share:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([v.value for v in self.state.discriminators[i].trainable_variables])
            pairs = self._pairs(i, part, outputs)
            judged = objectives.discriminator_terms(pairs, part.batch.mismatched_weight)
            terms = self._average({name: judged[name] for name in self.discriminator_weights})
            loss = objectives.weighted_sum(terms, self.discriminator_weights)
            gradients = self.state.discriminator_optimizers[i].gradients(loss, tape)
        return Share(loss, gradients, terms | self._average(collapse.accuracy(pairs)))

    def _pairs(self, i: int, part: Part, outputs: GeneratorOutputs) -> dict[str, Logits]:
        """What D_i says of its three kinds of pairs; neither G nor mu learns from it."""
        generator, d, batch = self.state.generator, self.state.discriminators[i], part.batch
        real = scaled(batch.images[i])
        fake, condition = outputs.images[i - len(self.state.discriminators)], outputs.mu
        fake = tf.stop_gradient(fake)
        condition = None if condition is None else tf.stop_gradient(condition)
        if self.config.model.family == "v2":
            mismatched = batch.mismatched_images and scaled(batch.mismatched_images[i])
            return objectives.pairs_v2(d, real, mismatched, fake, condition)
        reader = generator.conditioning or generator.stage1.conditioning  # where Stage-II does not read the text
        following = tf.stop_gradient(reader.gaussian(batch.mismatched_text_embedding)[0])
        with_next = fake.shape[0] - part.ends
        return objectives.pairs_v1(d, real, fake, condition, following, with_next)

    def _average(self, terms: objectives.Terms) -> objectives.Terms:
        """This replica's share of the mean over the global batch."""
        return {name: tf.reduce_sum(term) / self.batch_size for name, term in terms.items()}


def _in_turn(share_of: Callable[[Part], Any], part: Callable[[int], Part], count: int) -> Any:
    """The sum of what parts give, each computed after the sum of those before it."""
    total = share_of(part(0))
    for j in range(1, count):
        with tf.control_dependencies(tf.nest.flatten(total)):
            total = tf.nest.map_structure(tf.add, total, share_of(part(j)))
    return total
