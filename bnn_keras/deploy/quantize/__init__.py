"""The 32-bit rest of a binary network in fewer bits: the paper's study, and int8 in a file."""
