"""Conformance and op-support harness for the ExecuTorch Core ML backend."""

__version__ = "0.2.0"
