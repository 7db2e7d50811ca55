"""What a trained network's layers know of other images: linear classifiers on their features."""
