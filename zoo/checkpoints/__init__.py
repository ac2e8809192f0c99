"""How the checkpoints of other code bases name the weights of our networks, a file each."""
