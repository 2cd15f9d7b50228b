"""A block for a pair of modalities, trained on a world in which texture is shared by that pair, by the command lines."""
import json

import pytest
from helpers import ROOT, run_tool

CONFIG = ROOT / 'configs' / 'decoupling' / 'shapes_optical-radar-height_small-resnet_decur-subsets.py'


@pytest.mark.slow
def test_what_a_pair_shares_moves_to_its_block(tmp_path):
    run_tool('tools/train.py', CONFIG, '--work-dir', tmp_path, '--cfg-options', 'train_cfg.max_iters=250', 'param_scheduler.0.T_max=250',
             'default_hooks.checkpoint.interval=250', 'train_dataloader.dataset.num_images=4096', 'train_dataloader.pin_memory=False')
    printed = run_tool('tools/decoupling.py', CONFIG, tmp_path / 'iter_250.pth', '--num-samples', 1000, '--out', tmp_path / 'scores.json')
    assert 'optical+height texture partial' in ' '.join(printed.stdout.split())
    scores = json.loads((tmp_path / 'scores.json').read_text())
    explained = {(row['modality'], row['block'], row['factor']): row['score'] for row in scores['explained']}
    texture = next(name for name, factor in scores['factors'].items() if name.startswith('texture') and factor['role'] == 'partial')
    for modality in ('optical', 'height'):
        found = {block: explained[modality, block, texture] for block in ('common', 'optical+height', 'unique')}
        assert found['optical+height'] > .4 and found['optical+height'] > 1.3 * max(found['common'], found['unique']), (modality, found)
    # The pair agrees in its block, and in none of the others does radar with one of them.
    aligned = {(row['modality_a'], row['modality_b'], row['block']): row['score'] for row in scores['alignment']}
    assert aligned['optical', 'height', 'optical+height'] > .5
    assert abs(aligned['optical', 'radar', 'optical+height']) < .15 and abs(aligned['optical', 'height', 'unique']) < .15, aligned
