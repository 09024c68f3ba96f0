"""Losses, gradients and schedules of `accel.models.training.fit` against the papers' formulas in numpy."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from accel.models.build import Chain
from accel.models.compress.grid import put_on_grid
from accel.models.compress.prune import matrix_layers
from accel.models.compress.students import convolutional, mlp, shallow
from accel.models.errors import InputError
from accel.models.graph import Conv, Linear, Pool, Reshape, Softmax, build, repeating
from accel.models.grid import grid_of
from accel.models.reference import float32
from accel.models.training import fit as fit_module
from accel.models.training.fit import ImageSet, Schedule, Target, describe, fit, mean_logits
from accel.models.training.torch_module import module, products
from accel.models.window import Window

IMAGE = (1, 6, 5)
CLASSES = 4


def data(count=96, seed=0):
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (count, *IMAGE[1:])).astype(np.uint8)
    labels = random.integers(0, CLASSES, count).astype(np.uint8)
    return ImageSet(images, labels, images[:20], labels[:20])


def small(seed=0, name="small"):
    return mlp((30, 24, CLASSES), np.random.default_rng(seed), name, IMAGE)


def logits(network, images):
    """In float64, from the reference."""
    return float32.run(network, images[:, None].astype(np.float32) / np.float32(255)).astype(float)


def softmax(x):
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def cross_entropy(labels, x):
    return -np.log(softmax(x)[np.arange(len(x)), labels]).mean()


def soft_loss(x, teacher, temperature):
    """Hinton et al., equation 1 for both, times T^2."""
    return -(softmax(teacher / temperature) * np.log(softmax(x / temperature))).sum(1).mean() * temperature**2


def first_loss(network, images, target, **schedule):
    """The loss that one step on all images reports: that of the weights before it."""
    losses = []
    fit(network, images, Schedule(1, batch=len(images.train_labels), **{"shift": 0, "learning_rate": 1e-9} | schedule),
        target, progress=lambda e: losses.append(e.loss))  # fmt: skip
    return losses[0]


# What a schedule and a target refuse needs no torch.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1, not 0"),
        ({"epochs": 1, "batch": 0}, "batch and learning_rate must be above 0, not 0 and 0.05"),
        ({"epochs": 1, "learning_rate": 0.0}, "batch and learning_rate must be above 0, not 64 and 0.0"),
        ({"epochs": 1, "dropout": 1.0}, "dropout must be at least 0 and below 0.99, not 1.0 and 0.0"),
        ({"epochs": 1, "input_dropout": -0.1}, r"dropout must be at least 0 and below 0.99, not 0.0 and -0.1"),
    ],
)
def test_schedules_that_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        Schedule(**arguments)


def test_targets_that_are_refused():
    with pytest.raises(InputError, match="target 'labels' must not have teachers"):
        Target("labels", (small(),))
    with pytest.raises(InputError, match="target 'soft' must have teachers"):
        Target("soft")
    with pytest.raises(InputError, match=r"temperature must be above 0 and hard_weight 0\.\.1, not 0 and 0"):
        Target("soft", (small(),), temperature=0)


def test_a_description_tells_trainings_apart():
    plain = describe(small(), data(), Schedule(3))
    assert plain == describe(small(), data(), Schedule(3))
    others = [
        describe(small(name="other"), data(), Schedule(3)),
        describe(small(1), data(), Schedule(3)),  # other first weights
        describe(small(), data(seed=1), Schedule(3)),
        describe(small(), data(), Schedule(4)),
        describe(small(), data(), Schedule(3), Target("soft", (small(),), 4)),
        describe(small(), data(), Schedule(3), Target("soft", (small(1),), 4)),
        describe(small(), data(), Schedule(3), keep="zeros"),
        describe(small(), data(), Schedule(3), seed=1),
    ]
    assert all(a != b for a, b in itertools.combinations([plain, *others], 2))


def other(sizes, image):
    return mlp(sizes, np.random.default_rng(0), "other", image)


@pytest.mark.train
@pytest.mark.parametrize(
    ("network", "target", "message"),
    [
        (other((60, 4), (2, 6, 5)), Target(), r"input .* must be \(1, 6, 5\), not \(2, 6, 5\)"),
        (other((30, 3), IMAGE), Target(), "other: output must have a value for each of 4 classes, not 3"),
        (small(), Target("soft", (other((30, 5), IMAGE),)), "teacher other must have .* 4 outputs"),
        (small(), Target("soft", (other((20, 4), (1, 4, 5)),)), "teacher other must have input"),
    ],
)
def test_networks_that_do_not_suit_the_images(network, target, message):
    pytest.importorskip("torch")
    with pytest.raises(InputError, match=message):
        fit(network, data(), Schedule(1), target)


@pytest.mark.train
@pytest.mark.parametrize("views", [{"shift": 1}, {"shift": 0, "mirror": True}])
def test_only_images_of_one_label_each_move(views):
    """Labels of places would stay where they are, and other inputs have no places."""
    pytest.importorskip("torch")
    random = np.random.default_rng(0)
    chain = Chain(random, IMAGE)
    chain.conv("a", 4, Window((1, 1)))
    maps, flat = chain.network("maps"), mlp((30, 4), random, "flat", (30,))
    images = random.random((8, *IMAGE)).astype(np.float32)
    of_places, of_inputs = random.integers(0, 4, (8, 6, 5)), random.integers(0, 4, 8)
    for network, inputs, labels in ((maps, images, of_places), (flat, images.reshape(8, 30), of_inputs)):
        learnt = ImageSet(inputs, labels, inputs, labels)
        fit(network, learnt, Schedule(1, shift=0))
        with pytest.raises(InputError, match="shift and mirror must be 0 and false unless images have one label each"):
            fit(network, learnt, Schedule(1, **views))


@pytest.mark.train
def test_a_softmax_between_layers_is_computed():
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(0)

    def linear(name, before, size):
        return Linear(
            name, (before,), name, random.standard_normal(size).astype(np.float32), np.zeros(size[0], np.float32)
        )

    layers = (Reshape("f", ("x",), "f", (30,)), linear("a", "f", (5, 30)), Softmax("s", ("a",), "s"))
    network = build("n", "x", IMAGE, (*layers, linear("b", "s", (4, 5)), Softmax("t", ("b",), "t")))
    images = random.random((3, *IMAGE)).astype(np.float32)
    with torch.no_grad():
        found = module(network)(torch.from_numpy(images)).numpy()
    expected = float32.run(replace_output(network, "b"), images)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.train
def test_windows_over_a_spread_input_are_computed():
    """Transposed convolutions in groups, dilated, cut and added to; repeated pixels and edges."""
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(0)
    up = Window((3, 2), (1, 1), (1, 2, 4, 1), (2, 3), (3, 2), (1, 0, 2, 1))
    weights = random.standard_normal((6, 2, 3, 2)).astype(np.float32)
    network = build("n", "x", (4, 5, 6), (
        Conv("up", ("x",), "up", weights, random.standard_normal(6).astype(np.float32), up, 2),
        Pool("twice", ("up",), "twice", "max", repeating((2, 3))),
        Pool("edges", ("twice",), "edges", "max", Window((1, 1), edges=(1, 0, 2, 3))),
    ))  # fmt: skip
    images = random.standard_normal((3, 4, 5, 6)).astype(np.float32)
    with torch.no_grad():
        found = module(network)(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(found, float32.run(network, images), rtol=1e-5, atol=1e-5)


def replace_output(network, output):
    kept = network.layers[: 1 + [x.output for x in network.layers].index(output)]
    return build(network.name, network.input, network.shapes[network.input], kept)


@pytest.mark.train
class TestLosses:
    @pytest.fixture(autouse=True)
    def _torch(self):
        pytest.importorskip("torch")

    def test_labels(self):
        images = data()
        wanted = cross_entropy(images.train_labels, logits(small(), images.train_images))
        assert first_loss(small(), images, Target()) == pytest.approx(wanted, rel=1e-5)

    def test_values_are_learnt_by_their_square(self):
        images = data()
        values = np.random.default_rng(7).standard_normal((len(images.train_labels), CLASSES)).astype(np.float32)
        found = first_loss(small(), replace(images, train_labels=values, judged_labels=values[:20]), Target())
        wanted = np.square(logits(small(), images.train_images) - values).mean()
        assert found == pytest.approx(wanted, rel=1e-5)

    def test_labels_of_each_place(self):
        random, images = np.random.default_rng(7), data()
        weights = random.standard_normal((CLASSES, 1, 1, 1)).astype(np.float32)
        conv = Conv("c", ("x",), "c", weights, np.arange(CLASSES, dtype=np.float32), Window((1, 1)))
        network = build("places", "x", IMAGE, (conv,))
        places = random.integers(0, CLASSES, (len(images.train_labels), *IMAGE[1:]))
        found = first_loss(network, replace(images, train_labels=places, judged_labels=places[:20]), Target())
        outputs = np.moveaxis(logits(network, images.train_images), 1, -1)
        assert found == pytest.approx(cross_entropy(places.ravel(), outputs.reshape(-1, CLASSES)), rel=1e-5)

    @pytest.mark.parametrize("temperature", [1.0, 4.0, 20.0])
    @pytest.mark.parametrize("hard_weight", [0.0, 0.3, 1.0])
    def test_soft_targets_and_the_mixed_loss(self, temperature, hard_weight):
        images, teacher = data(), small(1, "teacher")
        x, z = logits(small(), images.train_images), logits(teacher, images.train_images)
        wanted = (1 - hard_weight) * soft_loss(x, z, temperature)
        wanted += hard_weight * cross_entropy(images.train_labels, x)
        found = first_loss(small(), images, Target("soft", (teacher,), temperature, hard_weight))
        assert found == pytest.approx(wanted, rel=1e-5)

    def test_logits_of_an_ensemble(self):
        images, teachers = data(), tuple(small(s, f"teacher-{s}") for s in (1, 2, 3))
        mean = sum(logits(t, images.train_images) for t in teachers) / 3
        np.testing.assert_allclose(mean_logits(teachers, images.train_images), mean, rtol=1e-4, atol=1e-5)
        difference = logits(small(), images.train_images) - mean
        # Ba & Caruana's equation 1 is half the squared norm; the mean over classes differs by a constant factor.
        wanted = 0.5 * (difference**2).sum(1).mean() * 2 / CLASSES
        assert first_loss(small(), images, Target("logits", teachers)) == pytest.approx(wanted, rel=1e-5)
        x = logits(small(), images.train_images)
        found = first_loss(small(), images, Target("soft", teachers, 5.0))
        assert found == pytest.approx(soft_loss(x, mean, 5.0), rel=1e-5)

    def test_at_high_temperature_soft_targets_are_logit_regression(self):
        """Hinton et al., equation 4: the gradient goes to (z - v) / N for logits of zero mean, here times T^2 / T^2."""
        torch = pytest.importorskip("torch")
        random = np.random.default_rng(0)
        x, z = (v - v.mean(1, keepdims=True) for v in random.standard_normal((2, 5, CLASSES)))
        wanted, given = (torch.tensor(v, requires_grad=True) for v in (x, z))
        temperature = 1e4
        loss = torch.nn.functional.cross_entropy(wanted / temperature, (given / temperature).softmax(1).detach())
        (loss * temperature**2 * 5).backward()
        np.testing.assert_allclose(wanted.grad.numpy(), (x - z) / CLASSES, rtol=1e-3, atol=1e-5)

    def test_known_logits_are_those_of_every_view(self):
        """With 2 views and 1 epoch logits come batch by batch, with 2 epochs from the table: one loss."""
        images, teacher = data(), small(1, "teacher")
        target = Target("soft", (teacher,), 3.0)
        for view in ({"mirror": True}, {"shift": 1}, {"shift": 1, "mirror": True}):
            views = 9 ** ("shift" in view) * 2 ** ("mirror" in view)
            losses = []
            for epochs in (1, views):
                schedule = Schedule(epochs, 1e-12, batch=len(images.train_labels), **{"shift": 0} | view)
                found = []
                fit(small(), images, schedule, target, progress=lambda e, found=found: found.append(e.loss))
                losses.append(found[0])
            assert losses[0] == pytest.approx(losses[1], rel=1e-6)

    def test_a_teacher_is_asked_once_for_all_its_students(self, monkeypatch):
        asked, known_logits = [], fit_module._known_logits
        monkeypatch.setattr(fit_module, "_known_logits", lambda run: asked.append(run.target) or known_logits(run))
        monkeypatch.setattr(fit_module, "_LAST", {})
        images, schedule = data(), Schedule(2, 1e-12, batch=96, shift=0, mirror=True)
        first, second = (Target("logits", (small(seed, "teacher"),)) for seed in (1, 2))
        found = []
        for target, seen in ((first, images), (first, images), (second, images), (second, data(seed=1))):
            fit(small(), seen, schedule, target, progress=lambda e: found.append(e.loss))
        assert asked == [first, second, second]
        wanted = [
            first_loss(small(), seen, target, mirror=True)
            for target, seen in ((first, images), (second, images), (second, data(seed=1)))
        ]
        assert found[::2] == pytest.approx([wanted[0], *wanted], rel=1e-6)


@pytest.mark.train
class TestTraining:
    @pytest.fixture(autouse=True)
    def _torch(self):
        pytest.importorskip("torch")

    def weights(self, network):
        return [x.weights for x in network.layers if isinstance(x, Conv | Linear)]

    def with_weights(self, network, change):
        layers = [replace(x, weights=change(x.weights)) if isinstance(x, Conv | Linear) else x for x in network.layers]
        return build(network.name, network.input, network.shapes[network.input], tuple(layers), network.output)

    def test_zeros_stay_zero(self):
        pruned = self.with_weights(
            convolutional(2, 3000, np.random.default_rng(0), (1, 8, 8), CLASSES),
            lambda w: np.where(abs(w) < np.median(abs(w)), np.float32(0), w),
        )
        random = np.random.default_rng(0)
        images = random.integers(0, 256, (64, 8, 8)).astype(np.uint8)
        labels = random.integers(0, CLASSES, 64).astype(np.uint8)
        trained = fit(pruned, ImageSet(images, labels, images, labels), Schedule(3, batch=16, shift=0), keep="zeros")
        for before, after in zip(self.weights(pruned), self.weights(trained), strict=True):
            np.testing.assert_array_equal(before == 0, after == 0)
            assert (before != after).sum() > 0.9 * (before != 0).sum()

    def test_shared_values_stay_shared_and_a_centroid_gets_its_members_gradients(self):
        codes = np.array([-0.4, 0.0, 0.1, 0.5], np.float32)
        shared = self.with_weights(small(), lambda w: codes[abs(w[..., None] - codes).argmin(-1)])
        images, rate = data(), 0.01
        step = Schedule(1, rate, len(images.train_labels), momentum=0.0, weight_decay=0.0, shift=0)
        free = fit(shared, images, step)
        tied = fit(shared, images, step, keep="values")
        for before, after, alone in zip(*map(self.weights, (shared, tied, free)), strict=True):
            for code in codes:
                members = before == code
                assert len(np.unique(after[members])) == 1
                # One step of descent moves a weight by -rate * gradient: Han et al., equation of section 3.3.
                moved = after[members][0] - code
                wanted = (alone - before)[members].sum() if code else 0.0
                assert moved == pytest.approx(wanted, rel=1e-3, abs=1e-6)

    def test_a_weight_that_is_shared_may_find_another_cluster(self, tmp_path):
        """Two steps of descent against k-means in numpy, whose gradients are those of a network that is free."""
        codes = np.array([-0.3, -0.1, 0.0, 0.1, 0.3], np.float32)
        images, rate, used = data(), 20.0, codes != 0
        seen = self.with_weights(small(), lambda w: codes[abs(w[..., None] - codes).argmin(-1)])
        step = Schedule(1, rate, len(images.train_labels), momentum=0.0, weight_decay=0.0, shift=0)
        latent = [w.astype(float) for w in self.weights(seen)]
        means, places = [codes[used].astype(float)] * len(latent), [w != 0 for w in latent]
        for number in range(2):  # of two steps along a cosine the second has half of the rate
            learnt = fit(seen, images, replace(step, learning_rate=rate / (1 + number)))
            moves = [b.astype(float) - a for a, b in zip(*map(self.weights, (seen, learnt)), strict=True)]
            latent = [w + d * p for w, d, p in zip(latent, moves, places, strict=True)]
            members = [abs(w[..., None] - m).argmin(-1) for w, m in zip(latent, means, strict=True)]
            if not number:
                means = [
                    np.array([w[p & (i == k)].mean() for k in range(4)])
                    for w, p, i in zip(latent, places, members, strict=True)
                ]
            found = iter([m[i] * p for m, i, p in zip(means, members, places, strict=True)])
            seen = self.with_weights(learnt, lambda w, found=found: next(found).astype(np.float32))
        state, done = tmp_path / "state", []

        def cut(epoch):
            done.append(epoch.number)
            if done == [1]:
                raise KeyboardInterrupt

        shared = self.with_weights(small(), lambda w: codes[abs(w[..., None] - codes).argmin(-1)])
        with pytest.raises(KeyboardInterrupt):
            fit(shared, images, replace(step, epochs=2), keep="number", state_file=state, progress=cut)
        tied = fit(shared, images, replace(step, epochs=2), keep="number", state_file=state, progress=cut)
        whole = fit(shared, images, replace(step, epochs=2), keep="number")
        for before, after, again, wanted in zip(*map(self.weights, (shared, tied, whole, seen)), strict=True):
            np.testing.assert_array_equal(after, again)
            np.testing.assert_allclose(after, wanted, rtol=1e-4, atol=1e-6)
            assert len(np.unique(after)) <= len(codes)
            np.testing.assert_array_equal(before == 0, after == 0)
            # Some changed their cluster: weights that were equal are no longer.
            assert any(len(np.unique(after[before == code])) > 1 for code in codes[used])

    @pytest.mark.parametrize("per_output", [False, True])
    def test_multiples_stay_and_a_step_gets_the_gradients_of_all(self, per_output):
        on_grid = put_on_grid(small(), {layer.name: 5 for layer in matrix_layers(small())}, {}, per_output)
        images, rate = data(), 0.3
        step = Schedule(1, rate, len(images.train_labels), momentum=0.0, weight_decay=0.0, shift=0)
        free = fit(on_grid, images, step)
        tied = fit(on_grid, images, step, keep="values")
        for before, after, alone in zip(*map(self.weights, (on_grid, tied, free)), strict=True):
            was, now = grid_of(before), grid_of(after)
            np.testing.assert_array_equal(was.codes, now.codes)
            pull = (alone - before).astype(float) * was.codes
            # Descent of the step's logarithm: its gradient is step * sum of (gradient * multiple).
            wanted = was.steps * pull.reshape(len(was.steps), -1).sum(1)
            np.testing.assert_allclose(np.log(now.steps / was.steps), wanted, rtol=2e-2, atol=2e-5)
            assert np.abs(wanted).max() > 1e-3

    def test_dropout_works_while_training_only(self):
        images, teacher = data(), small(1, "teacher")
        plain = first_loss(small(), images, Target())
        assert first_loss(small(), images, Target(), dropout=0.5) != pytest.approx(plain, rel=1e-3)
        assert first_loss(small(), images, Target(), input_dropout=0.2) != pytest.approx(plain, rel=1e-3)
        torch = pytest.importorskip("torch")
        from accel.models.training.torch_module import module

        x = torch.from_numpy(images.train_images[:, None].astype(np.float32) / 255)
        dropping = module(teacher, dropout=0.5, input_dropout=0.2)
        wanted = logits(teacher, images.train_images)
        assert abs(dropping.train()(x).detach().numpy() - wanted).max() > 0.1
        np.testing.assert_allclose(dropping.eval()(x).detach().numpy(), wanted, rtol=1e-4, atol=1e-5)
        # The accuracy that is reported is that of the whole network.
        reached = []
        whole = replace(images, judged_images=images.train_images, judged_labels=wanted.argmax(1).astype(np.uint8))
        fit(teacher, whole, Schedule(1, 1e-9, 96, shift=0, dropout=0.9, input_dropout=0.5), progress=reached.append)
        assert reached[0].accuracy_percent == 100

    def test_drop_keeps_the_mean(self):
        torch = pytest.importorskip("torch")
        from accel.models.training.torch_module import drop

        torch.manual_seed(0)
        for share in (0.25, 0.5, 0.9):
            dropped = drop(torch.ones(1001, 999), share)
            assert float((dropped == 0).float().mean()) == pytest.approx(share, abs=0.003)
            assert float(dropped.mean()) == pytest.approx(1, abs=0.01)

    @pytest.mark.parametrize(
        ("has", "fast"), [({"avx2": True, "avx512_bf16": False}, False), ({"amx_bf16": True}, True), (None, True)]
    )
    def test_bfloat16_is_for_processors_that_have_it(self, monkeypatch, has, fast):
        torch = pytest.importorskip("torch")
        if has is None:  # as of an older torch
            monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
        else:
            monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has, raising=False)
        for wanted in (False, True):
            with products(wanted):
                product = torch.ones(2, 2) @ torch.ones(2, 2)
            assert (product.dtype == torch.bfloat16) == (wanted and fast)

    @pytest.mark.parametrize("kind", ["labels", "logits", "soft"])
    def test_a_resumed_run_equals_an_unbroken_one(self, tmp_path, kind):
        images, teachers = data(), () if kind == "labels" else (small(1, "a"), small(2, "b"))
        target = Target(kind, teachers, 2.0)
        schedule = Schedule(4, batch=16, shift=1, mirror=True, dropout=0.3, bfloat16=True, warm_up=1)
        whole = fit(small(), images, schedule, target, seed=5)

        def interrupt(epoch):
            if epoch.number == 2:
                raise KeyboardInterrupt

        state = tmp_path / "state"
        with pytest.raises(KeyboardInterrupt):
            fit(small(), images, schedule, target, seed=5, state_file=state, progress=interrupt)
        with pytest.raises(InputError, match="belongs to another run"):
            fit(small(), images, schedule, target, seed=6, state_file=state)
        numbers = []
        resumed = fit(
            small(), images, schedule, target, seed=5, state_file=state, progress=lambda e: numbers.append(e.number)
        )
        assert numbers == [3, 4]
        assert not state.exists()
        for a, b in zip(self.weights(whole), self.weights(resumed), strict=True):
            np.testing.assert_array_equal(a, b)

    def test_a_damaged_state_is_refused(self, tmp_path):
        (tmp_path / "state").write_bytes(b"nonsense")
        with pytest.raises(InputError, match="must be a state of an earlier run, and is damaged: remove it"):
            fit(small(), data(), Schedule(1), state_file=tmp_path / "state")

    def test_a_student_learns_its_teacher(self):
        images = data(512)
        teacher = small(3, "teacher")
        student = shallow(200, np.random.default_rng(0), 20, image=IMAGE, classes=CLASSES)
        losses = []
        fit(student, images, Schedule(60, 0.01, 64, weight_decay=0.0, shift=0), Target("logits", (teacher,)),
            progress=lambda e: losses.append(e.loss))  # fmt: skip
        assert losses[-1] < 0.05 * losses[0]

    def test_a_rate_that_diverges_is_named(self):
        with pytest.raises(
            InputError, match=r"the loss is (nan|inf) in epoch \d+: learning_rate must be lower than 1000000000"
        ):
            fit(small(), data(), Schedule(20, 1e9, 16), Target("logits", (small(1),)))


@pytest.mark.train
def test_a_step_of_adam_has_the_size_of_the_rate_and_a_cut_run_goes_on(tmp_path):
    """Kingma & Ba, arXiv 1412.6980: the first step is the sign of the gradient; decay as of Loshchilov & Hutter."""
    pytest.importorskip("torch")
    images = data()
    schedule = Schedule(1, 0.01, len(images.train_labels), shift=0, weight_decay=0.1, optimiser="adam")
    learnt = fit(small(), images, schedule)
    for before, after in zip(matrix_layers(small()), matrix_layers(learnt), strict=True):
        moved = np.abs(after.weights - before.weights * np.float32(1 - 0.01 * 0.1))
        assert (np.isclose(moved, 0.01, rtol=1e-2) | (moved < 1e-6)).mean() > 0.99
        assert moved.max() == pytest.approx(0.01, rel=1e-3)
    longer = replace(schedule, epochs=3, batch=32)
    whole = fit(small(), images, longer)
    epochs = []

    def cut(epoch):
        epochs.append(epoch.number)
        if len(epochs) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(small(), images, longer, state_file=tmp_path / "state", progress=cut)
    again = fit(small(), images, longer, state_file=tmp_path / "state", progress=cut)
    assert epochs == [1, 2, 3]
    for a, b in zip(matrix_layers(whole), matrix_layers(again), strict=True):
        np.testing.assert_array_equal(a.weights, b.weights)
    # Networks from before there was Adam are known again.
    assert "optimiser" not in describe(small(), images, Schedule(3))
    assert describe(small(), images, schedule)["optimiser"] == "adam"
