"""The form of a network without custom operations, for any TFLite or LiteRT runtime.

Its binary convolutions are convolutions with int8 kernels of TFLite itself. `steps` gives a network that form
before it is converted, `kernels` stores the kernels in the file.
"""
