"""Loading a bundle with its signature proven first, where signatures are required."""

from pathlib import Path

from qc.domain.errors import BundleError
from qc.inspection.bundle import MODEL_FILE
from qc.inspection.session import OnnxInspector, Runtime, load_inspector
from qc.release.signing import TrustedKeys, verify_signature


def load_trusted(directory: Path, runtime: Runtime | None = None, keys: TrustedKeys | None = None) -> OnnxInspector:
    """A verified, warmed inspector whose golden vectors came out right. keys: None where unsigned bundles may run.

    The signature is proven before a byte of the graph is run; what was loaded is then held against the signed hash, so a file that was
    exchanged in between is refused. Raises BundleError.
    """
    manifest = verify_signature(directory, keys) if keys is not None else None
    inspector = load_inspector(directory, runtime)
    if manifest is not None:
        if inspector.card.sha256 != manifest.files[MODEL_FILE]:
            raise BundleError(f"{directory}: changed while it was loaded; copy the bundle again")
        # The card may have been exchanged too: the files are proven once more, and the card must be the loaded one.
        if verify_signature(directory, keys or {}) != manifest:
            raise BundleError(f"{directory}: changed while it was loaded; copy the bundle again")
    return inspector
