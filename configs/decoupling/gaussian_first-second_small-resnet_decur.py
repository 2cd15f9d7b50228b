# Linear mixtures of Gaussian factors: 4 shared coordinates, 4 private to each modality, a noise of 0.3 per coordinate.
_base_ = './shapes_optical-radar_small-resnet_decur.py'
entry = dict(
    channels=16, mean=[0.0], std=[1.0], augmentation=dict(type='NoiseAugmentation', std=0.3), encoder={{_base_.encoder}})
modalities = dict(_delete_=True, first=entry, second=entry)
world = dict(_delete_=True, type='LinearGaussianDataset', shared=4, private=4, noise=0.3)
train_dataloader = dict(dataset=dict(
    num_images=8192, sample_seed=0, pipeline={{_base_.train_dataloader.dataset.pipeline}}, **world))
score_dataset = dict(num_images=2000, sample_seed=1, pipeline={{_base_.score_dataset.pipeline}}, **world)
