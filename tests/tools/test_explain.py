import csv
import gc
import json
import weakref

import numpy as np
import pytest
import torch
from explain_config import tiny
from helpers import run_tool

import decur
from decur.binding import bind
from decur.engine import load_config
from decur.errors import ConfigError, DataError, WeightsError
from decur.explain.folder import Options
from decur.explain.loading import load_explained
from decur.explain.run import Explanation

COMMON = 'model.update(head=dict(common_dim=8))'


@pytest.fixture(scope='module')
def setup(tmp_path_factory):
    """A config, a checkpoint of it, and one without projector."""
    root = tmp_path_factory.mktemp('explain')
    config = tiny(root / 'config.py', extra=COMMON)
    model = decur.build_model(config)
    state = model.state_dict()
    torch.save(dict(state_dict=state), root / 'whole.pth')
    torch.save(dict(state_dict={k: v for k, v in state.items() if k.startswith('backbone.')}), root / 'encoders.pth')
    return root, config


def arguments(root, config, checkpoint='whole.pth', out='out', **kwargs):
    options = {'--num-samples': 24, '--batch-size': 8, '--perplexity': 4, '--steps': 4, **kwargs}
    return ['tools/explain.py', config, root / checkpoint, '--out', root / out, *(str(v) for pair in options.items() for v in pair)]


def rows(path):
    with open(path) as file:
        return list(csv.DictReader(file))


def test_the_command_writes_numbers_pictures_and_a_page(setup):
    root, config = setup
    done = run_tool(*arguments(root, config))
    out = root / 'out'
    assert f'open {out / "index.html"}' in done.stdout
    page = (out / 'index.html').read_text()
    for picture in ('alignment_optical_radar', 'tsne', 'saliency', 'spatial_agreement', 'spectral_magnitude', 'spectral_signed'):
        assert (out / f'{picture}.png').stat().st_size > 2000 and f'{picture}.png' in page
    alignment = rows(out / 'alignment.csv')
    for batch in range(3):
        inside = sum(int(r['dimensions']) for r in alignment if r['batch'] == str(batch))
        assert 0 < inside <= 16
    assert len(rows(out / 'tsne.csv')) == 2 * 16
    agreement = rows(out / 'spatial_agreement.csv')
    assert len({r['sample'] for r in agreement}) == 24
    assert all(0 <= float(r['optical/radar/common']) <= 1 for r in agreement)
    spectral = rows(out / 'spectral.csv')
    assert {r['band'] for r in spectral} == {'optical_1', 'optical_2', 'optical_3', 'radar_1', 'radar_2'}
    assert all(float(r['low']) <= float(r['mean']) <= float(r['high']) for r in spectral)


def dataset(config):
    from mmengine.registry import DATASETS
    cfg = bind(load_config(str(config))).train_dataloader.dataset
    cfg.pipeline = [dict(type='LoadModalities'), dict(type='CenterView'), dict(type='PackModalities')]
    return DATASETS.build(cfg)


OPTIONS = Options(num_samples=24, batch_size=8, perplexity=4, steps=4)


def explanation(root, config, out, options=OPTIONS, facts=None):
    return Explanation(load_explained(load_config(str(config)), root / 'whole.pth', options.level), dataset(config), root / out, options,
                       facts, progress=False)


def test_an_interrupted_run_goes_on_and_gives_the_same(setup, monkeypatch):
    root, config = setup
    explanation(root, config, 'straight').run()
    first = explanation(root, config, 'broken')
    original, calls = first._saliency, []

    def stop(batch, moments):
        calls.append(batch['ids'])
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(batch, moments)

    monkeypatch.setattr(first, '_saliency', stop)
    with pytest.raises(KeyboardInterrupt):
        first.run()
    again = explanation(root, config, 'broken')
    original_again, done = again._saliency, []
    monkeypatch.setattr(again, '_embed', lambda batch: pytest.fail('embeddings were there'))
    monkeypatch.setattr(again, '_saliency', lambda batch, moments: done.append(1) or original_again(batch, moments))
    again.run()
    assert len(done) == 2  # of three batches one was there
    for name in ('spectral.csv', 'spatial_agreement.csv', 'alignment.csv', 'tsne.csv', 'index.html'):
        assert (root / 'broken' / name).read_bytes() == (root / 'straight' / name).read_bytes(), name


def test_batches_are_let_go(setup, monkeypatch):
    root, config = setup
    run, images, alive = explanation(root, config, 'streamed'), [], []

    def watched(compute):
        def call(batch, *args):
            gc.collect()
            alive.append(sum(image() is not None for image in images))
            images.append(weakref.ref(batch['raw']['optical']))
            return compute(batch, *args)
        return call

    for name in ('_embed', '_saliency'):
        monkeypatch.setattr(run, name, watched(getattr(run, name)))
    run.run()
    assert len(images) == 6 and max(alive) == 0  # two passes of three batches


def test_other_settings_do_not_mix_into_a_folder(setup):
    root, config = setup
    explanation(root, config, 'mixed')
    with pytest.raises(ConfigError, match=r'other settings \(steps\)'):
        explanation(root, config, 'mixed', Options(num_samples=24, batch_size=8, perplexity=4, steps=5))
    with pytest.raises(ConfigError, match='checkpoint'):
        explanation(root, config, 'mixed', facts=dict(checkpoint='other.pth'))


def test_a_damaged_file_is_named_and_made_again_once_it_is_gone(setup):
    root, config = setup
    options = Options(num_samples=16, batch_size=8, perplexity=4, steps=2, analyses=('tsne', 'spatial'))
    page = explanation(root, config, 'damaged', options).run()
    out, before = page.parent, page.read_bytes()
    for name in ('parts/embeddings_00001.npz', 'parts/saliency_00000.npz', 'tsne.npz', 'saliency_maps.npz'):
        whole = (out / name).read_bytes()
        for content in (b'', whole[:len(whole) // 2], b'PK' + bytes(100), whole[:200] + bytes(50) + whole[250:]):
            (out / name).write_bytes(content)
            with pytest.raises(DataError, match=f'{name} cannot be read'):
                explanation(root, config, 'damaged', options).run()
        (out / name).unlink()
        (out / 'index.html').unlink()
        explanation(root, config, 'damaged', options).run()
        assert (out / name).is_file() and (out / 'index.html').read_bytes() == before


def test_samples_whose_embeddings_are_not_finite_are_named(setup):
    root, config = setup
    model, data = load_explained(load_config(str(config)), root / 'whole.pth'), dataset(config)
    represented = type(model).extract_embeddings

    def broken(self, inputs):
        z = represented(self, inputs)
        z['radar'][2, 0] = float('nan')
        return z

    model.extract_embeddings = broken.__get__(model)
    run = Explanation(model, data, root / 'nan', Options(num_samples=8, batch_size=8, analyses=('alignment', )), progress=False)
    name = data[run.batches[0][2]]['data_samples'].sample_id
    with pytest.raises(DataError, match=f"'radar' are not finite .* 1 of 8 samples of a batch: {name}. Look"):
        run.run()


def test_statistics_do_not_depend_on_the_batch_size(setup):
    root, config = setup
    small = explanation(root, config, 'small', Options(num_samples=24, batch_size=8, analyses=('spectral', )))
    large = explanation(root, config, 'large', Options(num_samples=24, batch_size=24, analyses=('spectral', )))
    for e in (small, large):
        e._pass('embeddings', e._embed)
    for name, (mean, std) in small._moments().items():
        np.testing.assert_allclose(mean, large._moments()[name][0], rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(std, large._moments()[name][1], rtol=1e-5)


def test_samples_that_lack_a_modality_are_left_out(setup):
    root, config = setup
    model, data = load_explained(load_config(str(config)), root / 'whole.pth'), dataset(config)
    original = data.get_data_info

    def lacking(index):
        info = original(index)
        if index % 4 == 0:
            info['sources'] = dict(info['sources'], radar=None)
        return info

    data.get_data_info = lacking
    options = Options(num_samples=40, batch_size=20, analyses=('spatial', ))
    Explanation(model, data, root / 'lacking', options, progress=False).run()
    assert len(rows(root / 'lacking' / 'spatial_agreement.csv')) == 30
    with pytest.raises(DataError, match='explain fewer modalities'):
        data.get_data_info = lambda index: dict(original(index), sources=dict(original(index)['sources'], radar=None))
        Explanation(model, data, root / 'none', options, progress=False).run()
    alone = Explanation(model, data, root / 'alone', Options(num_samples=40, batch_size=20, analyses=('spatial', 'tsne'), perplexity=4,
                                                             modalities=('optical', )), progress=False)
    assert 'need two modalities' in alone.run().read_text()


def test_a_checkpoint_without_projector(setup):
    root, config = setup
    done = run_tool(*arguments(root, config, 'encoders.pth', 'no_projector'), check=False)
    assert done.returncode == 1 and 'no projector' in done.stderr and '--level encoder' in done.stderr
    model = load_explained(load_config(str(config)), root / 'encoders.pth', 'encoder')
    options = Options(num_samples=16, batch_size=8, level='encoder', perplexity=4, steps=4)
    page = Explanation(model, dataset(config), root / 'encoder_level', options, progress=False).run().read_text()
    assert 'all' in page and (root / 'encoder_level' / 'spectral.csv').is_file()
    assert {r['block'] for r in rows(root / 'encoder_level' / 'spectral.csv')} == {'all'}


def test_bad_input(setup):
    root, config = setup
    cfg = load_config(str(config))
    model, data = load_explained(cfg, root / 'whole.pth'), dataset(config)
    for options, error, message in ((Options(num_samples=41), DataError, 'has 40'), (Options(num_samples=3), DataError, 'at least 4'),
                                    (Options(num_samples=8, modalities=('thermal', )), ConfigError, 'thermal'),
                                    (Options(num_samples=8, layer='backbone.{'), ConfigError, r"no layer 'backbone.\{'")):
        with pytest.raises(error, match=message):
            Explanation(model, data, root / 'bad', options)
    assert not (root / 'bad').exists()
    cfg.model.head.common_dim = 4
    cfg.model.neck.out_channels = 8
    with pytest.raises(WeightsError, match='does not fit the model of the config'):
        load_explained(cfg, root / 'whole.pth')
    cfg.model.pop('neck')
    with pytest.raises(ConfigError, match='config has none'):
        load_explained(cfg, root / 'whole.pth')
    done = run_tool(*arguments(root, config, out='x', **{'--modalities': 'thermal'}), check=False)
    assert done.returncode == 1 and done.stderr.strip().endswith("There are ['optical', 'radar'].")


def test_the_record_is_readable(setup):
    root, config = setup
    explanation(root, config, 'record', facts=dict(config='a.py'))
    record = json.loads((root / 'record' / 'explanation.json').read_text())
    assert record['config'] == 'a.py' and record['batch_size'] == 8


def test_three_modalities_give_three_pairs(setup):
    root, _ = setup
    config = tiny(root / 'three.py', 'shapes_optical-radar-height_small-resnet_decur.py', extra=COMMON)
    model = load_explained(load_config(str(config)), None)
    options = Options(num_samples=16, batch_size=8, perplexity=4, analyses=('alignment', 'tsne', 'spatial'))
    Explanation(model, dataset(config), root / 'three', options, progress=False).run()
    pairs = {(r['modality_a'], r['modality_b']) for r in rows(root / 'three' / 'alignment.csv')}
    assert pairs == {('optical', 'radar'), ('optical', 'height'), ('radar', 'height')}
    assert 'radar/height/unique' in rows(root / 'three' / 'spatial_agreement.csv')[0]
    assert len(rows(root / 'three' / 'tsne.csv')) == 3 * 16
