"""Stylizing pictures: with a trained run, or by optimizing the picture itself."""
