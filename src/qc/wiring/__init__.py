"""Settings to objects: the only package that names concrete back-ends."""

from qc.wiring.edge import Edge, build_edge

__all__ = ["Edge", "build_edge"]
