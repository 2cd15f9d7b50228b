"""What a pretrained model's common and unique dimensions attend to (supplement D)."""
