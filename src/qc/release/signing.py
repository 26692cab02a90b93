"""Who vouches for a bundle: an Ed25519 signature over a manifest of the hashes of all its files.

``signature.json`` lies in the bundle beside the files that it covers. It holds the manifest as the very text that was signed, so
that there is nothing to canonicalise. ``sequence`` (milliseconds since 1970 at signing) orders signatures: the registry takes no
older one for a model id or variant that it has seen a newer one of, so an old, once valid bundle cannot be slipped in again.
"""

import base64
import binascii
import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from pydantic import BaseModel, ConfigDict, ValidationError

from qc.domain.errors import BundleError
from qc.inspection.bundle import CARD_FILE, MODEL_FILE, verify_bundle
from qc.inspection.card import parse_card
from qc.release.durable import write_durably

SIGNATURE_FILE = "signature.json"
MAX_SIGNATURE_BYTES = 64 * 1024
MAX_FILES = 32

TrustedKeys = Mapping[str, Ed25519PublicKey]
"""Public keys by key id."""


class Manifest(BaseModel):
    """What is signed. files: name -> SHA-256 (hex) of every file of the bundle but the signature itself."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    model_id: str
    sequence: int
    variants: tuple[str, ...]
    files: dict[str, str]


class _Signature(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    format: str
    key: str
    manifest: str
    signature: str


def make_keys(private_file: Path, public_file: Path) -> str:
    """Write a new key pair as PEM files (the private one readable by its owner only); returns the key id.

    Raises BundleError when one of the files exists: a lost private key cannot be made again.
    """
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    try:
        for path, content, mode in ((private_file, private, 0o600), (public_file, public, 0o644)):
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                file.write(content)
    except OSError as error:
        raise BundleError(f"{error.filename}: cannot be written ({error.strerror}); keys are never overwritten") from error
    return key_id(key.public_key())


def key_id(key: Ed25519PublicKey) -> str:
    """First 16 hex digits of the SHA-256 of the raw public key."""
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]


def load_keys(files: Sequence[Path]) -> TrustedKeys:
    """Public keys whose signatures count. Raises BundleError for a file that is no Ed25519 public key in PEM."""
    keys = {}
    for path in files:
        try:
            key = load_pem_public_key(path.read_bytes())
        except (OSError, ValueError, UnsupportedAlgorithm) as error:
            raise BundleError(f"{path}: is no public key ({error}); give the .pub file of `qc models keygen`") from error
        if not isinstance(key, Ed25519PublicKey):
            raise BundleError(f"{path}: is no Ed25519 key; make one with `qc models keygen`")
        keys[key_id(key)] = key
    return keys


def sign_bundle(directory: Path, private_file: Path, *, sequence: int | None = None) -> Manifest:
    """Check the bundle and sign all of its files; an existing signature is replaced. Raises BundleError."""
    try:
        key = load_pem_private_key(private_file.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BundleError(f"{private_file}: is no private key ({error}); give the .key file of `qc models keygen`") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise BundleError(f"{private_file}: is no Ed25519 key; make one with `qc models keygen`")
    card = verify_bundle(directory).card
    names = sorted(path.name for path in directory.iterdir() if path.name != SIGNATURE_FILE)
    manifest = Manifest(
        model_id=card.model_id,
        sequence=int(time.time() * 1000) if sequence is None else sequence,
        variants=card.variants,
        files={name: _hash(directory / name) for name in names},
    )
    text = manifest.model_dump_json()
    body = {
        "format": "qc.signature/1",
        "key": key_id(key.public_key()),
        "manifest": text,
        "signature": base64.b64encode(key.sign(text.encode())).decode(),
    }
    write_durably(directory / SIGNATURE_FILE, (json.dumps(body, indent=1) + "\n").encode())
    return manifest


def verify_signature(directory: Path, keys: TrustedKeys) -> Manifest:
    """The signed manifest, proven: signed by one of the keys, for this model id, and every file is the signed one.

    Raises BundleError saying what is wrong: unsigned, unknown key, altered file, file that is not signed.
    """
    signature = _read(directory)
    key = keys.get(signature.key)
    if key is None:
        raise BundleError(
            f"{directory}: signed with key {signature.key[:40]!r}, trusted are {', '.join(keys) or 'none'}; "
            "sign it with a trusted key, or add the public key to models.public_keys if you trust it"
        )
    try:
        key.verify(base64.b64decode(signature.signature, validate=True), signature.manifest.encode())
    except (InvalidSignature, binascii.Error):
        raise BundleError(f"{directory}: the signature is not that of its manifest: altered; copy the bundle again") from None
    try:
        manifest = Manifest.model_validate_json(signature.manifest)
    except ValidationError as error:
        raise BundleError(f"{directory / SIGNATURE_FILE}: manifest: {error.errors()[0]['msg']}") from None
    _check_files(directory, manifest)
    return manifest


def signed_manifest(directory: Path) -> Manifest | None:
    """What the signature file claims, without proof; None when the bundle is unsigned. Raises BundleError for a broken file."""
    if not (directory / SIGNATURE_FILE).is_file():
        return None
    try:
        return Manifest.model_validate_json(_read(directory).manifest)
    except ValidationError as error:
        raise BundleError(f"{directory / SIGNATURE_FILE}: manifest: {error.errors()[0]['msg']}") from None


def _check_files(directory: Path, manifest: Manifest) -> None:
    if manifest.model_id != directory.name:
        raise BundleError(f"{directory}: the signature is for model {manifest.model_id!r}; it was taken from another bundle")
    if not {MODEL_FILE, CARD_FILE} <= manifest.files.keys():
        raise BundleError(f"{directory}: the signature does not cover {MODEL_FILE} and {CARD_FILE}; sign the bundle again")
    present = {path.name for path in directory.iterdir()} - {SIGNATURE_FILE}
    if odd := sorted(present ^ manifest.files.keys()):
        raise BundleError(
            f"{directory}: {odd[0]!r} is {'not signed' if odd[0] in present else 'signed but missing'}; sign it again"
        )
    for name, wanted in manifest.files.items():
        if _hash(directory / name) != wanted:
            raise BundleError(f"{directory / name}: is not the signed file (SHA-256 differs): altered; copy the bundle again")
    card = parse_card((directory / CARD_FILE).read_bytes(), str(directory / CARD_FILE))
    if card.sha256 != manifest.files[MODEL_FILE] or tuple(card.variants) != manifest.variants:
        raise BundleError(f"{directory}: card and signature do not belong together; sign the bundle again")


def _read(directory: Path) -> _Signature:
    path = directory / SIGNATURE_FILE
    try:
        if path.is_symlink() or path.stat().st_size > MAX_SIGNATURE_BYTES:
            raise BundleError(f"{path}: must be a plain file of at most {MAX_SIGNATURE_BYTES} bytes")
        signature = _Signature.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise BundleError(f"{directory}: is not signed; sign it with `qc models sign`") from None
    except (OSError, ValidationError) as error:
        raise BundleError(
            f"{path}: cannot be read as a signature ({str(error).splitlines()[0]}); sign the bundle again"
        ) from None
    if signature.format != "qc.signature/1":
        raise BundleError(f"{path}: format {signature.format[:40]!r} is not supported; this version reads 'qc.signature/1'")
    return signature


def _hash(path: Path) -> str:
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BundleError(f"{path}: cannot be read as a plain file ({error.strerror})") from error
