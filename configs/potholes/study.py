# Not a run: what tools/compare.py compares; docs/real_data.md has what came out.
data_root = 'data/potholes'
pretraining = 'potholes_rgb-disparity_small-resnet_decur.py'
transfer = 'potholes_rgb-disparity_small-resnet_finetune.py'
#: List of the labelled samples by seed.
labelled = 'few10_seed{}.txt'
figure = 'IoU.pothole'
seeds = (0, 1, 2)
frozen = {'model.backbone.frozen': True}
rgb = {'modalities.disparity': None}
#: Row of the table, options of the transfer.
rows = {'RGB + disparity, frozen': frozen, 'RGB + disparity, fine-tuned': {}, 'RGB, frozen': {**frozen, **rgb}, 'RGB, fine-tuned': rgb}
