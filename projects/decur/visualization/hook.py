"""Pictures of what a segmentor predicts, written while it is tested."""
from pathlib import Path

from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from decur.modalities import split
from decur.writing import sample_path

from .images import label_picture, modality_picture, save_label_map, save_picture, sheet


@HOOKS.register_module()
class PredictionPictureHook(Hook):
    """Write, for every tested sample, the predicted label map and a picture of inputs, label and prediction side by side.

    ``OUT/predictions/<sample>.png`` is a palette PNG of class indices (grey of 16 bits for more than 256 classes),
    ``OUT/pictures/<sample>.png`` the picture. Samples whose names have sub-folders (``site1/a``) are written into such. Classes without a
    palette have the colours of :func:`~decur.datasets.labels.default_palette`.

    Args:
        out_dir (str): The folder.
        max_pictures (int): Pictures of at most this many samples; predictions are written for all. Defaults to 100.
    """

    def __init__(self, out_dir: str, max_pictures: int = 100):
        self.out_dir, self.max_pictures = Path(out_dir), max_pictures
        self.count = 0

    def after_test_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """Write the pictures of a batch."""
        meta = runner.test_loop.dataloader.dataset.metainfo
        modalities = runner.test_loop.dataloader.dataset.modalities
        ignore = runner.test_loop.dataloader.dataset.label_table.ignore_index
        palette, classes = meta['palette'], meta['classes']
        for x, sample in zip(shown_images(data_batch), outputs, strict=True):
            prediction = sample.pred_sem_seg.data[0].cpu().numpy()
            save_label_map(prediction, palette, sample_path(self.out_dir / 'predictions', sample.img_path))
            if self.count >= self.max_pictures:
                continue
            self.count += 1
            images = split(x.permute(1, 2, 0).cpu().numpy(), modalities, axis=-1)
            pictures = [modality_picture(image, key, modalities[key]) for key, image in images.items()]
            titles = list(images)
            if 'gt_sem_seg' in sample:
                pictures.append(label_picture(sample.gt_sem_seg.data[0].cpu().numpy(), palette, ignore))
                titles.append('label')
            pictures.append(label_picture(prediction, palette))
            save_picture(sheet([pictures], [*titles, 'prediction'], legend=dict(zip(classes, palette))),
                         sample_path(self.out_dir / 'pictures', sample.img_path))


def shown_images(data_batch: dict) -> list:
    """The samples' images ``(C, H, W)``; of several views of each (test-time augmentation) the one that shows it as it is in the file."""
    inputs = data_batch['inputs']
    if not isinstance(inputs[0], list | tuple):
        return list(inputs)
    by_sample = zip(*[zip(images, samples) for images, samples in zip(inputs, data_batch['data_samples'])])
    return [next((x for x, s in views if not s.metainfo.get('flip') and s.img_shape == s.ori_shape), views[0][0]) for views in by_sample]
