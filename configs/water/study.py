# Not a run: what tools/compare.py compares; docs/real_data.md has what came out.
data_root = 'data/water'
pretraining = 'water_optical-dem_small-resnet_decur.py'
transfer = 'water_optical-dem_small-resnet_finetune.py'
#: List of the labelled samples by seed.
labelled = 'few32_seed{}.txt'
figure = 'IoU.water'
seeds = (0, 1, 2)
frozen = {'model.backbone.frozen': True}
#: Row of the table, options of the transfer.
rows = {'optical + elevation, frozen': frozen, 'optical + elevation, fine-tuned': {}}
