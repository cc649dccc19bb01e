"""Measures Dovetail beside a floor or a peer in the same run. ``python -m benchmarks --help``."""

import os

# Or gRPC says that it cannot follow into the processes that are started beside its connections; nor should it.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
