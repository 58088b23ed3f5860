"""What gives pictures a style: a trained run, or the optimisation of the picture itself."""
