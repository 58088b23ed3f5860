"""What gives pictures a style: a trained run, or the optimization of the picture itself."""
