"""One training step, as the papers write it."""

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


class TrainStep:
    """The step as a `tf.function`: a (distributed) global batch in, averaged loss terms out; changes `state`.

    Beside the terms the metrics have, of each network, the norm of its gradient and what `collapse` and
    `Optimizer.signals` tell.
    """

    def __init__(self, state: TrainState, strategy: tf.distribute.Strategy, config: Config) -> None:
        self.state, self.strategy, self.config = state, strategy, config
        self.batch_size = config.train.batch_size
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
        generator, discriminators = self.state.generator, self.state.discriminators
        batch = batch._replace(
            images=tuple(map(scaled, batch.images)),
            mismatched_images=batch.mismatched_images and tuple(map(scaled, batch.mismatched_images)),
        )
        noise = {name: value[replica_rows(self.batch_size)] for name, value in noise.items()}
        text = {} if batch.text_embedding is None else {"text_embedding": batch.text_embedding}
        metrics: Metrics = {}
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([v.value for v in generator.trainable_variables])
            outputs = generator(**noise, **text, training=True)
            with tape.stop_recording():
                for i in range(len(discriminators)):
                    metrics |= self._update_discriminator(i, batch, outputs)
            terms = self._average(objectives.generator_terms(discriminators, outputs, self.config))
            loss = objectives.weighted_sum(terms, objectives.generator_weights(self.config.loss, terms))
            norm = self.state.generator_optimizer.minimize(loss, tape)
        told = terms | self._average({"diversity": collapse.diversity(outputs.images[-1], self.batch_size)})
        metrics |= _named("g", told | {"loss": loss, "gradient_norm": norm})
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, metrics)

    def _update_discriminator(self, i: int, batch: Batch, outputs: GeneratorOutputs) -> Metrics:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([v.value for v in self.state.discriminators[i].trainable_variables])
            pairs = self._pairs(i, batch, outputs)
            judged = objectives.discriminator_terms(pairs, batch.mismatched_weight)
            terms = self._average({name: judged[name] for name in self.discriminator_weights})
            loss = objectives.weighted_sum(terms, self.discriminator_weights)
            norm = self.state.discriminator_optimizers[i].minimize(loss, tape)
        told = terms | self._average(collapse.accuracy(pairs))
        return _named(f"d{i}", told | {"loss": loss, "gradient_norm": norm})

    def _pairs(self, i: int, batch: Batch, outputs: GeneratorOutputs) -> dict[str, Logits]:
        """What D_i says of its three kinds of pairs; neither G nor mu learns from it."""
        generator, d = self.state.generator, self.state.discriminators[i]
        fake, condition = outputs.images[i - len(self.state.discriminators)], outputs.mu
        fake = tf.stop_gradient(fake)
        condition = None if condition is None else tf.stop_gradient(condition)
        if self.config.model.family == "v2":
            return objectives.pairs_v2(d, batch, i, fake, condition)
        reader = generator.conditioning or generator.stage1.conditioning  # where Stage-II does not read the text
        following = tf.stop_gradient(reader.gaussian(batch.mismatched_text_embedding)[0])
        rows = replica_rows(self.batch_size)
        with_next = rows.stop - rows.start - (rows.stop == self.batch_size)
        return objectives.pairs_v1(d, batch, fake, condition, following, with_next)

    def _average(self, terms: objectives.Terms) -> objectives.Terms:
        """This replica's share of the mean over the global batch."""
        return {name: tf.reduce_sum(term) / self.batch_size for name, term in terms.items()}


def _named(network: str, told: Metrics) -> Metrics:
    return {f"{network}/{name}": value for name, value in told.items()}
