"""Published checkpoints: named after their digest, loadable by themselves, without the state of training and the machine's paths."""
import hashlib
import json

import pytest
import torch
from helpers import entries, run_tool
from mmengine.config import Config
from mmengine.registry import MODELS

import decur
from decur.errors import ConfigError, WeightsError
from decur.weights import load_file, save_file
from decur.weights.metadata import describe
from decur.weights.publish import publish


@pytest.fixture
def run(tmp_path):
    """A checkpoint as a run leaves it."""
    torch.manual_seed(0)
    backbone = dict(type='MultimodalBackbone', modalities=entries())
    model = MODELS.build(backbone)
    state = {f'backbone.{name}': value for name, value in model.state_dict().items()}
    meta = dict(decur=describe(dict(type='MultimodalPretraining', backbone=backbone)), cfg='data_root = "/home/me/secret"', epoch=7,
                dataset_meta=dict(classes=('a', 'b')))
    save_file(dict(meta=meta, state_dict=state, optimizer=dict(state={0: torch.zeros(1000)}), message_hub=dict(x=1)),
              tmp_path / 'epoch_7.pth')
    return tmp_path / 'epoch_7.pth', state


def test_what_is_published_loads_and_says_what_it_is(run, tmp_path):
    source, state = run
    path, card = publish(source, tmp_path / 'out' / 'decur.pth')
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert path.name == f'decur-{digest[:8]}.pth' and card['sha256'] == digest and card['size'] == path.stat().st_size
    assert sorted(p.name for p in path.parent.iterdir()) == [f'decur-{digest[:8]}.json', path.name]
    assert json.loads(path.with_suffix('.json').read_text()) == json.loads(json.dumps(card))
    assert card['classes'] == ['a', 'b'] and card['epoch'] == 7 and card['modalities']['sar']['mean'] == [-12.0, -12.0]
    found = load_file(path)
    assert found.keys() == {'meta', 'state_dict'} and b'secret' not in path.read_bytes()
    assert all(torch.equal(found['state_dict'][name], value) for name, value in state.items())
    x = dict(sar=torch.randn(2, 2, 32, 32))
    assert torch.equal(decur.load(path, sha256=digest[:8], modalities=['sar'])(x)['sar'], decur.load(source, modalities=['sar'])(x)['sar'])
    # Publishing again gives the same file.
    assert publish(source, tmp_path / 'out' / 'decur.pth')[0] == path


def test_the_command_and_what_it_refuses(run, tmp_path):
    source, state = run
    done = run_tool('tools/publish_model.py', source, tmp_path / 'out' / 'decur.pth')
    assert 'sha256' in done.stdout and 'optical: 13 channels; encoder SmallResNet' in done.stdout
    save_file(dict(state_dict=state), tmp_path / 'plain.pth')
    done = run_tool('tools/publish_model.py', tmp_path / 'plain.pth', tmp_path / 'out2' / 'x.pth', check=False)
    assert done.returncode == 1 and '--config' in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / 'out2').exists()
    with pytest.raises(ConfigError, match='.pth'):
        publish(source, tmp_path / 'x.bin')
    cfg = Config(dict(model=dict(type='MultimodalPretraining', backbone=dict(type='MultimodalBackbone', modalities=entries()))))
    path, card = publish(tmp_path / 'plain.pth', tmp_path / 'y.pth', cfg)
    assert decur.load(path).feature_dims and card['modalities'].keys() == {'sar', 'optical'}


def test_a_write_that_went_wrong_is_noticed(run, tmp_path, monkeypatch):
    import decur.weights.publish as module

    def damaged(content, path):
        name = next(iter(content['state_dict']))
        return save_file(dict(content, state_dict=dict(content['state_dict'], **{name: content['state_dict'][name] + 1})), path)

    monkeypatch.setattr(module, 'save_file', damaged)
    with pytest.raises(WeightsError, match='not those that were read'):
        publish(run[0], tmp_path / 'out' / 'decur.pth')
    assert not list((tmp_path / 'out').iterdir())
