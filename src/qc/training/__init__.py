"""From images to a deployable model: data sets, checks, splits, training, export. The only room that may import torch."""
