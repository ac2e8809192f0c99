"""Every setting of a run, checked when it is given: kinds of values, recipes, the configuration."""
