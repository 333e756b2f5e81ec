"""One training step, as the papers write it."""

from collections.abc import Callable

import tensorflow as tf

from stackgan_tf import objectives
from stackgan_tf.config import Config
from stackgan_tf.structs import Batch, GeneratorOutputs
from stackgan_tf.training.distribution import replica_rows
from stackgan_tf.training.ema import update_average
from stackgan_tf.training.precision import minimize
from stackgan_tf.training.state import TrainState

Metrics = dict[str, tf.Tensor]


def draw_noise(sizes: dict[str, int], rows: int, seed: int, step: tf.Tensor) -> dict[str, tf.Tensor]:
    """Standard normal noise of the global batch, a pure function of (seed, step): `{name: [rows, size]}`.

    Each replica takes its own rows, so that any number of replicas sees the same numbers.
    """
    seeds = tf.random.split(tf.stack([tf.constant(seed, tf.int64), step]), len(sizes))
    return {name: tf.random.stateless_normal([rows, size], seeds[i]) for i, (name, size) in enumerate(sizes.items())}


def make_train_step(state: TrainState, strategy: tf.distribute.Strategy, config: Config) -> Callable[[Batch], Metrics]:
    """The step as a `tf.function`: a (distributed) global batch in, averaged loss terms out; changes `state`."""
    generator, train = state.generator, config.train
    weights = objectives.discriminator_weights(config)

    def average(terms: objectives.Terms) -> objectives.Terms:
        """This replica's share of the mean over the global batch."""
        return {name: tf.reduce_sum(term) / train.batch_size for name, term in terms.items()}

    def pairs(i: int, batch: Batch, outputs: GeneratorOutputs) -> dict[str, objectives.Logits]:
        fake, condition = outputs.images[i - len(state.discriminators)], outputs.mu
        fake = tf.stop_gradient(fake)
        condition = None if condition is None else tf.stop_gradient(condition)
        if config.model.family == "v2":
            return objectives.pairs_v2(state.discriminators[i], batch, i, fake, condition)
        following = tf.stop_gradient(generator.conditioning.gaussian(batch.mismatched_text_embedding)[0])
        rows = replica_rows(train.batch_size)
        with_next = rows.stop - rows.start - (rows.stop == train.batch_size)
        return objectives.pairs_v1(state.discriminators[i], batch, fake, condition, following, with_next)

    def update_discriminator(i: int, batch: Batch, outputs: GeneratorOutputs) -> Metrics:
        variables = state.discriminators[i].trainable_variables
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([v.value for v in variables])
            terms = average(objectives.discriminator_terms(pairs(i, batch, outputs), batch.mismatched_weight))
            loss = objectives.weighted_sum(terms, weights)
            minimize(state.discriminator_optimizers[i], loss, tape, variables)
        return {f"d{i}/{name}": value for name, value in terms.items()} | {f"d{i}/loss": loss}

    def replica_step(batch: Batch, noise: dict[str, tf.Tensor]) -> Metrics:
        rows = replica_rows(train.batch_size)
        noise = {name: value[rows] for name, value in noise.items()}
        text = {} if batch.text_embedding is None else {"text_embedding": batch.text_embedding}
        variables = generator.trainable_variables
        metrics: Metrics = {}
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([v.value for v in variables])
            outputs = generator(**noise, **text, training=True)
            with tape.stop_recording():
                for i in range(len(state.discriminators)):
                    metrics |= update_discriminator(i, batch, outputs)
            terms = average(objectives.generator_terms(state.discriminators, outputs, config))
            loss = objectives.weighted_sum(terms, objectives.generator_weights(config.loss, terms))
            minimize(state.generator_optimizer, loss, tape, variables)
        return metrics | {f"g/{name}": value for name, value in terms.items()} | {"g/loss": loss}

    @tf.function(autograph=False)
    def train_step(batch: Batch) -> Metrics:
        noise = draw_noise(generator.noise_sizes, train.batch_size, train.seed, state.step)
        metrics = strategy.run(replica_step, args=(batch, noise))
        update_average(strategy, state.average, generator, train.ema_decay)
        state.step.assign_add(1)
        return {name: strategy.reduce(tf.distribute.ReduceOp.SUM, value, axis=None) for name, value in metrics.items()}

    return train_step
