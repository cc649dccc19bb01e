"""The gRPC server of Dovetail: a thin shell over the library."""
