"""Exact and near copies of pictures, told apart from parts that merely look alike.

Industrial pictures of one product are all alike, so a plain perceptual hash finds copies everywhere. Here a picture is
compared by how it *differs from the typical picture of its variant*: a grey 32 x 32 thumbnail, standardised, minus the
variant's mean thumbnail. Its 64 hash bits are the signs of random projections of that difference (Charikar,
Similarity estimation techniques from rounding algorithms, STOC 2002): two pictures with correlation r differ in a share
arccos(r) / pi of the bits, 4 of 64 at r = .98 and 32 at r = 0.

Candidates (Hamming distance <= 6) come from a multi-index hash (Norouzi, Punjani, Fleet, CVPR 2012): six wrong bits leave
two of eight bytes untouched, so that 28 tables keyed by two bytes miss none. Buckets are bounded, so the search grows
almost linearly. A candidate is confirmed by its correlation and must stand out: the distance 1 - r inside a group of copies
is at least four times smaller than to the nearest other picture. What it finds and misses is measured in docs/datasets.md.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from qc.domain.frame import Pixels

THUMB: Final = 32
HASH_RADIUS: Final = 6
COPY_DISTANCE: Final = 0.02
"""Largest 1 - r inside a group of copies. Re-encoded, resized, noisy copies reach 0.001, brightness changes 0.02."""
SEARCH_DISTANCE: Final = 0.08
"""Pairs up to here are looked at, to know whether a group of copies stands out (4 x COPY_DISTANCE)."""
STANDS_OUT: Final = 4.0
LARGEST_DIAMETER: Final = 0.04
"""Largest 1 - r between any two of a group: a chain of parts, each like the next, is not a group of copies."""
BUCKET_LIMIT: Final = 400
WINDOW: Final = 50
EDGES_KEPT: Final = 16
MOST_WAITING: Final = 2_000_000
MEAN_PRIOR: Final = 10
"""Pictures by which a variant's mean is shrunk, so that the mean of three pictures does not hide what they share."""


@dataclass(frozen=True, slots=True)
class CopyGroup:
    """Pictures (indices, ascending) that show the same capture. distance: largest 1 - r along the chain that joins them."""

    members: tuple[int, ...]
    exact: bool
    distance: float = 0.0


@dataclass(frozen=True, slots=True)
class Copies:
    """All copy groups found; crowded: hash buckets that were too full to be searched completely."""

    groups: tuple[CopyGroup, ...]
    crowded: int = 0


def thumbnail(pixels: Pixels) -> NDArray[np.uint8]:
    """(32, 32) uint8 grey, area-averaged; pixels: (H, W, 3) uint8 BGR."""
    small = cv2.resize(pixels, (THUMB, THUMB), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), dtype=np.uint8)


def find_copies(thumbs: NDArray[np.uint8], pixel_hashes: Sequence[bytes], variants: Sequence[str]) -> Copies:
    """Groups of exact copies (equal pixel hash) and near copies (within one variant).

    thumbs: (n, 32, 32) uint8 from ``thumbnail``; pixel_hashes: n digests, empty for unreadable pictures, which are left
    out. Memory: about 10 kB for each picture of the largest variant.
    """
    exact = _exact_groups(pixel_hashes)
    near: list[CopyGroup] = []
    crowded = 0
    first_of = {digest: index for index, digest in reversed(list(enumerate(pixel_hashes)))}
    names = np.array(variants, dtype=object)
    for variant in sorted(set(variants)):
        # One picture stands for all its exact copies.
        rows = [i for i in np.flatnonzero(names == variant).tolist() if pixel_hashes[i] and first_of[pixel_hashes[i]] == i]
        found, full = _near_groups(thumbs[rows])
        near += [CopyGroup(tuple(rows[i] for i in group.members), exact=False, distance=group.distance) for group in found]
        crowded += full
    return Copies((*exact, *near), crowded)


def _exact_groups(pixel_hashes: Sequence[bytes]) -> list[CopyGroup]:
    same: dict[bytes, list[int]] = {}
    for index, digest in enumerate(pixel_hashes):
        if digest:
            same.setdefault(digest, []).append(index)
    return [CopyGroup(tuple(members), exact=True) for members in same.values() if len(members) > 1]


def _near_groups(thumbs: NDArray[np.uint8]) -> tuple[list[CopyGroup], int]:
    if len(thumbs) < 2:
        return [], 0
    plain = thumbs.astype(np.float32)
    plain -= plain.mean((1, 2), keepdims=True)
    spread = plain.std((1, 2), keepdims=True)
    plain /= spread + 2.0  # A nearly even picture must not become pure noise.
    plain -= plain.mean(0) * (len(plain) / (len(plain) + MEAN_PRIOR))
    flat = plain.reshape(len(plain), -1)
    flat -= flat.mean(1, keepdims=True)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True) + 1e-6
    edges = _Edges(len(flat))
    crowded = 0
    # Even pictures (spread about one grey level) carry no content by which a copy could be known.
    even = spread.ravel() < 1.5
    for left, right, full in _candidates(_hashes(flat)):
        crowded += full
        distance = 1.0 - np.einsum("ij,ij->i", flat[left], flat[right])
        close = (distance < SEARCH_DISTANCE) & ~even[left] & ~even[right]
        edges.add(left[close], right[close], distance[close])
    groups = [g for g in _standing_out(edges.ascending()) if _diameter(flat[list(g.members)]) <= LARGEST_DIAMETER]
    return _outermost(groups), crowded


class _Edges:
    """Close pairs, bounded to the nearest few of each picture: where everything is alike there are millions."""

    def __init__(self, n: int) -> None:
        self._n = n
        self._keys = np.zeros(0, dtype=np.int64)
        self._distances = np.zeros(0, dtype=np.float32)
        self._new: list[tuple[NDArray[np.int64], NDArray[np.float32]]] = []
        self._waiting = 0

    def add(self, left: NDArray[np.int64], right: NDArray[np.int64], distance: NDArray[np.float32]) -> None:
        if len(left):
            self._new.append((left * self._n + right, distance))
            self._waiting += len(left)
        if self._waiting > MOST_WAITING:
            self._settle()

    def ascending(self) -> list[tuple[float, int, int]]:
        """(distance, left, right), nearest first."""
        self._settle()
        order = np.lexsort((self._keys, self._distances))
        keys = self._keys[order]
        left, right = keys // self._n, keys % self._n
        return list(zip(self._distances[order].tolist(), left.tolist(), right.tolist(), strict=True))

    def _settle(self) -> None:
        keys = np.concatenate([self._keys, *(k for k, _ in self._new)])
        distances = np.concatenate([self._distances, *(d for _, d in self._new)])
        near = _rank(keys // self._n, distances) < EDGES_KEPT
        near |= _rank(keys % self._n, distances) < EDGES_KEPT
        self._keys, self._distances, self._new, self._waiting = keys[near], distances[near], [], 0


def _rank(owner: NDArray[np.int64], distances: NDArray[np.float32]) -> NDArray[np.int64]:
    """(m,) place of each edge among the edges of its owner, nearest first."""
    order = np.lexsort((distances, owner))
    starts = np.flatnonzero(np.r_[True, np.diff(owner[order]) != 0]) if len(owner) else np.zeros(0, dtype=np.int64)
    rank = np.empty(len(owner), dtype=np.int64)
    rank[order] = np.arange(len(owner)) - np.repeat(starts, np.diff(np.r_[starts, len(owner)]))
    return rank


def _diameter(vectors: NDArray[np.float32]) -> float:
    """Largest 1 - r inside a group; of a very large one, from its first 500 members. vectors: (m, d), unit length."""
    return 1.0 - float((vectors[:500] @ vectors.T).min())


def _hashes(flat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(n, 8) uint8: 64 bits of each row of flat, (n, 1024) float32."""
    directions = np.random.default_rng(0).normal(size=(flat.shape[1], 64)).astype(np.float32)
    return np.packbits(flat @ directions > 0.0, axis=1)


def _candidates(codes: NDArray[np.uint8]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], int]]:
    """(left, right, crowded buckets) with left < right, in blocks; each pair once."""
    words = codes.view(np.uint64).ravel()
    for one, two in combinations(range(8), 2):
        keys = codes[:, one].astype(np.int64) << 8 | codes[:, two]
        order = np.lexsort((words, keys))
        starts = np.flatnonzero(np.r_[True, np.diff(keys[order]) != 0])
        sizes = np.diff(np.r_[starts, len(order)])
        # Members of a bucket lie side by side: compare each with those that follow it, one offset at a time.
        crowded = int((sizes > BUCKET_LIMIT).sum())
        reach = np.where(sizes > BUCKET_LIMIT, WINDOW, sizes - 1)
        ends = np.repeat(starts + sizes, sizes)
        reaches = np.repeat(reach, sizes)
        position = np.arange(len(order))
        for offset in range(1, int(reach.max(initial=0)) + 1):
            position = position[(reaches[position] >= offset) & (position + offset < ends[position])]
            a, b = order[position], order[position + offset]
            near = np.bitwise_count(words[a] ^ words[b]) <= HASH_RADIUS
            a, b = a[near], b[near]
            # Only the table of its first two equal bytes speaks for a pair; else look-alikes would come 28 times.
            first = (codes[a, :two] == codes[b, :two]).sum(1) == 1
            yield np.minimum(a[first], b[first]), np.maximum(a[first], b[first]), crowded
            crowded = 0


def _standing_out(edges: Sequence[tuple[float, int, int]]) -> list[CopyGroup]:
    """Single-linkage clusters that are tight and far from everything else; edges: (distance, i, j) ascending.

    Merging in ascending order (Kruskal), a cluster is complete when an edge at least STANDS_OUT times longer than its own
    longest one reaches it. Parts that look alike form a continuum and never show such a gap.
    """
    parent: dict[int, int] = {}
    members: dict[int, list[int]] = {}
    longest: dict[int, float] = {}
    found: list[CopyGroup] = []

    def root(node: int) -> int:
        while parent.setdefault(node, node) != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    def close(cluster: int, reached_at: float) -> None:
        group, inside = members.get(cluster, []), longest.get(cluster, 0.0)
        if len(group) > 1 and inside <= COPY_DISTANCE and reached_at >= STANDS_OUT * inside:
            found.append(CopyGroup(tuple(sorted(group)), exact=False, distance=inside))

    for distance, i, j in edges:
        a, b = root(i), root(j)
        if a == b:
            continue
        close(a, distance)
        close(b, distance)
        members[a] = members.get(a, [a]) + members.pop(b, [b])
        longest[a] = distance
        parent[b] = a
    for cluster in list(members):
        close(cluster, SEARCH_DISTANCE)
    return found


def _outermost(groups: Sequence[CopyGroup]) -> list[CopyGroup]:
    """Drop a group that lies inside a larger one."""
    taken: set[int] = set()
    kept = []
    for group in sorted(groups, key=lambda g: (-len(g.members), g.members)):
        if not taken.intersection(group.members):
            kept.append(group)
            taken.update(group.members)
    return sorted(kept, key=lambda g: g.members)
