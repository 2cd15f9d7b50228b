"""What an installed package must do in an empty folder outside any checkout: ``python outside.py path/to/decur``.

Runs the README's example, a training of two iterations and its test, and finds configs by name. Needs only the environment it is run in.
"""
import os
import re
import subprocess
import sys
import tempfile
import time
from importlib.metadata import metadata
from pathlib import Path

SMALL = ['train_dataloader.batch_size=4', 'train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False',
         'train_dataloader.dataset.data_root=rooms']
TEST = ['test_dataloader.dataset.data_root=rooms', 'test_dataloader.num_workers=0', 'test_dataloader.persistent_workers=False']
NAMES = """
import decur
from mmengine.config import Config
from mmengine.hub import get_config
names = ['decur::quickstart/rooms_rgb_small-resnet_frozen.py', 'decur::configs/quickstart/rooms_rgb_small-resnet_frozen.py']
open('child.py', 'w').write(f'_base_ = {names[0]!r}')
for cfg in (*map(get_config, names), Config.fromfile('child.py')):
    assert cfg.model.type == 'MultimodalSegmentor' and cfg.modalities, cfg
print(decur.__file__)
"""


def main(command: str) -> None:
    """Run everything in a temporary folder; an error of any part ends it."""
    with tempfile.TemporaryDirectory() as folder:
        env = dict(os.environ, OMP_NUM_THREADS='1', PYTHONWARNINGS='ignore')

        def run(*arguments, expect=''):
            start = time.time()
            done = subprocess.run([str(a) for a in arguments], cwd=folder, env=env, capture_output=True, text=True, timeout=600)
            shown = ' '.join(str(a) for a in arguments[:4])[:100].replace('\n', ' ')
            if done.returncode or not re.search(expect, done.stdout):
                sys.exit(f'{shown}: status {done.returncode}, expected {expect!r}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}')
            print(f'{time.time() - start:6.1f} s  {shown}', flush=True)
            return done

        run(command, '--help', expect='(?s)inspect.*train.*test.*infer')
        run(command, '--version', expect=metadata('decur')['Version'])
        readme = metadata('decur').get_payload()
        example = next(block for block in re.findall(r'```python\n(.*?)```', readme, re.S) if 'extract_feat' in block)
        run(sys.executable, '-c', example, expect=r"'rgb': \(2, \d+\)")
        where = run(sys.executable, '-c', NAMES).stdout.strip().splitlines()[-1]
        print(f'          {Path(where).parent}')
        run(command, 'generate', 'rooms', 'rooms', '--num-train', 8, '--num-test', 2, '--size', 48, 48, '--workers', 1)
        run(command, 'inspect', 'rooms', expect='layout')
        # Eight scenes in batches of four are two iterations.
        run(command, 'train', 'configs/quickstart/rooms_rgb-hha_small-resnet_decur.py', '--work-dir', 'decur', '--cfg-options', *SMALL,
            'train_cfg.max_epochs=1', 'param_scheduler.0.T_max=1', 'model.neck.hid_channels=32', 'model.neck.out_channels=32',
            'model.head.common_dim=24')
        run(command, 'train', 'rooms_rgb_small-resnet_frozen', '--work-dir', 'frozen', '--cfg-options', *SMALL, *TEST,
            'train_dataloader.dataset.num_samples=8', 'train_cfg.max_iters=2', 'param_scheduler.0.end=2',
            'default_hooks.checkpoint.interval=2', 'model.backbone.pretrained=decur/epoch_1.pth')
        run(command, 'test', 'decur::quickstart/rooms_rgb_small-resnet_frozen.py', 'frozen/iter_2.pth', '--work-dir', 'frozen',
            '--out', 'metrics.json', '--cfg-options', *TEST)
        assert 'mIoU' in (Path(folder) / 'metrics.json').read_text()
    print('the installed package works')


if __name__ == '__main__':
    main(os.path.abspath(sys.argv[1]))
