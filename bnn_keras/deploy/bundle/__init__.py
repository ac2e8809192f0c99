"""What a device gets: the checked file, and what has to be known beside it."""
