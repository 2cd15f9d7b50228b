# Residual deformable attention after the last two stages of a ResNet50, sizes of supplement B.1 (224-pixel views: maps of 14 and 7).
attention = {
    '2': dict(type='RDA', num_heads=8, groups=4, stride=2, kernel_size=5, map_size=14),
    '3': dict(type='RDA', num_heads=16, groups=8, stride=1, kernel_size=3, map_size=7)
}
