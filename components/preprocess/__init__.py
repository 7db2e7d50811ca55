"""What is done to an image before the network sees it, in training and in serving alike."""
