import numpy as np
import pytest

from decur.errors import ConfigError
from decur.evaluation.decoupling import probe, variance_explained
from decur.synthetic import factors
from decur.synthetic.factors import LinearGaussianWorld, RenderedWorld

PAIR = dict(shape=[('a', 'b')], colour=[('a', ), ('b', )], texture=[('a', ), ('b', )])
TRIPLE = dict(shape=[('a', 'b', 'c')], texture=[('a', 'b'), ('c', )], colour=['a', 'b', 'c'], orientation=[('b', 'c')])


# ---------------------------------------------------------------- linear, Gaussian
def test_known_covariance_of_the_linear_world():
    world = LinearGaussianWorld(dict(a=10, b=12), shared=3, private=4, noise=0.5)
    x, values = world.sample(60000, seed=1)
    assert {k: v.shape[1] for k, v in values.items()} == dict(shared=3, private_a=4, private_b=4)
    a = world.mixing['a']
    np.testing.assert_allclose(a.T @ a, np.eye(7), atol=1e-12)
    np.testing.assert_allclose(np.cov(x['a'].T), a @ a.T + 0.25 * np.eye(10), atol=0.03)
    # Between modalities only the shared factor remains.
    cross = (x['a'].T @ x['b']) / len(x['a'])
    np.testing.assert_allclose(cross, a[:, :3] @ world.mixing['b'][:, :3].T, atol=0.03)


def test_the_inverse_of_the_mixing_scores_perfectly_apart_from_noise():
    world = LinearGaussianWorld(dict(a=10, b=12), shared=3, private=4, noise=0.5)
    x, values = world.sample(20000)
    z = x['a'] @ world.mixing['a']  # 3 common, 4 unique
    np.testing.assert_allclose(variance_explained(z[:, :3], values['shared'], 'continuous'), 1 / 1.25, atol=0.01)
    np.testing.assert_allclose(variance_explained(z[:, 3:], values['private_a'], 'continuous'), 1 / 1.25, atol=0.01)
    np.testing.assert_allclose(variance_explained(z[:, :3], values['private_a'], 'continuous'), 0, atol=0.005)
    np.testing.assert_allclose(variance_explained(z, values['private_b'], 'continuous'), 0, atol=0.005)


def test_three_modalities_have_pair_factors():
    world = LinearGaussianWorld(dict(a=12, b=12, c=12), shared=2, private=2, pair=3)
    assert world.factors['pair_a_c'].modalities == ('a', 'c')
    assert [world.factors[f].role('abc') for f in ('shared', 'pair_b_c', 'private_b')] == ['shared', 'partial', 'private']
    x, values = world.sample(5000)
    assert probe(x['c'], values['pair_a_c'], 'continuous') > 0.95
    assert probe(x['b'], values['pair_a_c'], 'continuous') < 0.05


def test_world_and_sample_have_seeds_of_their_own():
    make = lambda seed: LinearGaussianWorld(dict(a=10, b=10), world_seed=seed)  # noqa: E731
    np.testing.assert_array_equal(make(0).sample(5, 3)[0]['a'], make(0).sample(5, 3)[0]['a'])
    assert not np.allclose(make(0).sample(5, 3)[0]['a'], make(0).sample(5, 4)[0]['a'])
    assert not np.allclose(make(0).mixing['a'], make(1).mixing['a'])


def test_too_few_channels():
    with pytest.raises(ConfigError, match="'a' has 7 channels for 8"):
        LinearGaussianWorld(dict(a=7, b=8))


# ---------------------------------------------------------------- rendered
def test_names_and_roles_of_factors():
    world = RenderedWorld(dict(a=3, b=1, c=2), TRIPLE)
    assert {name: spec.role('abc') for name, spec in world.factors.items()} == dict(
        shape='shared', texture_a_b='partial', texture_c='private', colour_a='private', colour_b='private', colour_c='private',
        orientation_b_c='partial')


@pytest.mark.parametrize('name', sorted(RenderedWorld(dict(a=3, b=1, c=2), TRIPLE).factors))
def test_a_factor_changes_the_pictures_of_its_modalities_and_no_others(name):
    world = RenderedWorld(dict(a=3, b=1, c=2), TRIPLE)
    values = world.sample_factors(16, seed=0)
    other = dict(values)
    other[name] = (values[name] + 1) % 6
    before, after = world.render(values), world.render(other)
    for modality in 'abc':
        changed = np.abs(before[modality] - after[modality]).max(axis=(1, 2, 3))
        assert (changed > 0.05).all() if modality in world.factors[name].modalities else not changed.any()


def test_pictures_are_in_range_and_differ_by_style():
    world = RenderedWorld(dict(a=3, b=3, c=3), dict(shape=[('a', 'b', 'c')], position=[('a', 'b', 'c')], size=[('a', 'b', 'c')]),
                          image_size=24)
    values = world.sample_factors(64)
    pictures = world.render(values, chunk=10)
    assert pictures['a'].shape == (64, 24, 24, 3) and pictures['a'].dtype == np.float32
    assert all(x.min() >= 0 and x.max() <= 1 for x in pictures.values())
    fill, outline = ((np.abs(pictures[m] - 0.5).max(-1) > 0.1).mean() for m in 'ab')
    assert outline < 0.8 * fill
    np.testing.assert_array_equal(pictures['a'], world.render(values)['a'])  # the chunk does not matter


def test_the_object_is_where_the_factors_say():
    world = RenderedWorld(dict(a=1, b=1), dict(position=[('a', ), ('b', )], size=[('a', 'b')]))
    values = world.sample_factors(50)
    object_ = np.abs(world.render(values)['a'][..., 0] - 0.5) > 0.1
    axis = (np.arange(32) + 0.5) / 16 - 1
    along = [object_.mean(i) for i in (1, 2)]  # columns, rows
    centre = np.stack([(p * axis).sum(1) / p.sum(1) for p in along], 1)
    np.testing.assert_allclose(centre, values['position_a'], atol=0.04)
    radius = np.sqrt(object_.mean((1, 2)) * 4 / np.pi)  # disks
    np.testing.assert_allclose(radius, values['size'][:, 0], atol=0.05)


def test_factors_can_be_read_from_the_pictures():
    world = RenderedWorld(dict(a=3, b=2), PAIR, image_size=16)
    values = world.sample_factors(1200)
    x = world.render(values)
    x = {m: v.reshape(1200, -1) for m, v in x.items()}
    for name, modality in (('shape', 'a'), ('shape', 'b'), ('colour_a', 'a'), ('texture_b', 'b')):
        assert probe(x[modality], values[name], 'categorical') > 0.7, name
    assert probe(x['b'], values['colour_a'], 'categorical') < 0.25


def test_all_classes_look_different():
    for attribute, classes in (('shape', factors.SHAPES), ('texture', factors.TEXTURES), ('colour', range(6))):
        world = RenderedWorld(dict(a=3, b=1, c=2), {attribute: [('a', 'b', 'c')]})
        pictures = world.render({attribute: np.arange(len(classes))})
        for x in pictures.values():
            distance = np.abs(x[:, None] - x[None]).max(axis=(2, 3, 4)) + np.eye(len(classes))
            assert distance.min() > 0.08, attribute


def test_bad_worlds():
    for args, message in ((dict(factors=dict(smell=[('a', )])), 'smell'), (dict(factors=dict(shape=[('a', 'x')])), "'x'"),
                          (dict(factors=dict(shape=[('a', ), ('a', 'b')])), 'two groups'), (dict(factors={}), 'empty'),
                          (dict(factors=PAIR, styles=dict(a='cubist')), 'cubist')):
        with pytest.raises(ConfigError, match=message):
            RenderedWorld(dict(a=3, b=1), **args)
