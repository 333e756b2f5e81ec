"""How many bytes the tensors of a graph hold at once: a walk over its operations that runs none of them."""

from collections import Counter, deque
from collections.abc import Iterator

import tensorflow as tf

Buffer = tuple[tf.Operation, int]  # the output that a buffer was made for

HANDLES = (tf.resource, tf.variant, tf.string)  # what they stand for is counted elsewhere
GIVEN = {"Placeholder", "Const", "ReadVariableOp"}  # there before the graph runs, or another name for what is
SAME_BUFFER = {
    *("Identity", "IdentityN", "StopGradient", "PreventGradient", "EnsureShape", "Snapshot"),
    *("Reshape", "Squeeze", "ExpandDims"),
    *("Switch", "Merge", "Enter", "Exit", "NextIteration"),
}
LOOPS = {"While", "StatelessWhile"}  # what a pass leaves takes the place of what it was given
IN_PLACE = {  # write over an input of the same shape and type that nobody else will read
    *("Add", "AddN", "AddV2", "BiasAdd", "DivNoNan", "Maximum", "Minimum", "Mul", "RealDiv", "SelectV2", "Sub"),
    *("Exp", "Log", "Neg", "Rsqrt", "Sqrt", "Square", "SquaredDifference"),
    *("LeakyRelu", "LeakyReluGrad", "Relu", "ReluGrad", "RsqrtGrad", "Sigmoid", "SigmoidGrad"),
    *("Softplus", "SoftplusGrad", "Tanh", "TanhGrad"),
}


def peak_bytes(graph: tf.Graph, device: str = "") -> int:
    """The most bytes that tensors made in a traced function hold at once while it runs.

    A tensor lives from the operation that makes it to the last one that reads it; what the function returns lives to
    its end. A function that an operation calls, a branch or the body of a loop, adds its own peak while it runs: of
    branches the larger, of a loop one pass. Not counted: what is given to the function (its arguments, variables,
    constants), what an operation needs for itself, as a convolution does, and tensors of a shape that is not known
    before.

    Args:
        device: only of tensors there, or nowhere in particular; by default of all.
    """
    order = list(_in_order(graph))
    readers = Counter(tensor.ref() for op in order for tensor in op.inputs)
    readers.update(tensor.ref() for tensor in getattr(graph, "outputs", []))
    buffers: dict[tf.Tensor, Buffer] = {}  # of each tensor, by reference
    held: dict[Buffer, int] = {}  # bytes
    reads: Counter[Buffer] = Counter()  # that are still to come
    live = peak = 0
    for op in order:
        taken = [buffers[tensor.ref()] for tensor in op.inputs if tensor.ref() in buffers]
        for i, tensor in enumerate(op.outputs):
            buffer = _buffer_of_input(op, i, buffers, reads)
            if buffer is None and op.type not in GIVEN | SAME_BUFFER and (size := _bytes(tensor, device)):
                buffer = op, i
                held[buffer] = size
                live += size
            if buffer:
                buffers[tensor.ref()] = buffer
                reads[buffer] += readers[tensor.ref()]
        peak = max(peak, live + max((peak_bytes(called, device) for called in _called(op)), default=0))
        reads.subtract(taken)
        for buffer in {*taken, *((op, i) for i in range(len(op.outputs)))}:
            if buffer in held and not reads[buffer]:
                live -= held.pop(buffer)
    return peak


def _in_order(graph: tf.Graph) -> Iterator[tf.Operation]:
    """The operations that run, first ready, first served, as TensorFlow's executor takes them.

    In the order in which they were written the step would need a fifth more.
    """
    needed = _needed(graph)
    waits_for = {op: {tensor.op for tensor in op.inputs} | set(op.control_inputs) for op in needed}
    followers: dict[tf.Operation, list[tf.Operation]] = {op: [] for op in needed}
    for op, before in waits_for.items():
        for earlier in before:
            followers[earlier].append(op)
    missing = {op: len(before) for op, before in waits_for.items()}
    ready = deque(op for op in needed if not missing[op])
    while ready:
        op = ready.popleft()
        yield op
        for follower in followers[op]:
            missing[follower] -= 1
            if not missing[follower]:
                ready.append(follower)


def _needed(graph: tf.Graph) -> list[tf.Operation]:
    """What somebody asks for, or what changes a state, with all that it waits for, as written."""
    operations = graph.get_operations()
    asked = [*(tensor.op for tensor in getattr(graph, "outputs", [])), *getattr(graph, "control_outputs", [])]
    found, left = set(), asked + [op for op in operations if op.op_def.is_stateful]
    while left:
        op = left.pop()
        if op not in found:
            found.add(op)
            left += [*(tensor.op for tensor in op.inputs), *op.control_inputs]
    return [op for op in operations if op in found]


def _buffer_of_input(op: tf.Operation, i: int, buffers: dict, reads: Counter[Buffer]) -> Buffer | None:
    """The one that output i takes over."""
    if op.type in SAME_BUFFER | LOOPS and op.inputs:
        return buffers.get(op.inputs[min(i, len(op.inputs) - 1)].ref())
    if op.type in IN_PLACE:
        for tensor in op.inputs:
            same = (tensor.dtype, tensor.shape) == (op.outputs[i].dtype, op.outputs[i].shape)
            if same and reads[buffers.get(tensor.ref())] == 1:
                return buffers[tensor.ref()]
    return None


def _bytes(tensor: tf.Tensor, device: str) -> int:
    if tensor.dtype in HANDLES or (device and tensor.device not in ("", device)):
        return 0
    return (tensor.shape.num_elements() or 0) * tensor.dtype.size


def _called(op: tf.Operation) -> Iterator[tf.Graph]:
    """The graphs of the functions that an operation calls."""
    for value in op.node_def.attr.values():
        for function in (value.func, *value.list.func):
            if function.name:
                yield op.graph._get_function(function.name).graph  # nothing public leads there
