# Two views of every modality of co-located rasters. The leaf config gives the modalities and data_root.
default_scope = 'mmpretrain'
train_dataloader = dict(
    batch_size=64,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    drop_last=True,
    sampler=dict(type='EpochSampler'),
    collate_fn=dict(type='multimodal_collate'),
    dataset=dict(
        type='PairedRasterDataset',
        pipeline=[dict(type='LoadModalities'), dict(type='MakeViews', aligned=False), dict(type='PackModalities')]))
