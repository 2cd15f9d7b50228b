# Not a run: what tools/compare.py compares; docs/real_data.md has what came out.
data_root = 'data/sites_s1_s2_dem'
pretraining = 'sites_s1-s2_small-resnet_decur.py'
transfer = 'sites_s1-s2_small-resnet_frozen.py'
#: The left 70 % of every site: there are too few to draw from.
labelled = None
figure = 'mIoU'
seeds = (0, 1, 2)
#: Row of the table, options of the transfer.
rows = {'SAR + optical, frozen': {}, 'SAR + optical, fine-tuned': {'model.backbone.frozen': False}}
