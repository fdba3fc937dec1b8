"""The PyTorch runtime. Inside this package `import torch` is the library: imports are absolute."""
