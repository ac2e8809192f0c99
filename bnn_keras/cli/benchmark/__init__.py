"""What takes how long here, each beside a yardstick: python -m bnn_keras benchmark VERB."""
