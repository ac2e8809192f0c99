"""What is done to an image before the model sees it."""
