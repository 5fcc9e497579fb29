"""Assign points to clusters at least total cost, with a least and a greatest size for each cluster.

A transportation problem with few clusters: prices found by coordinate ascent on the dual give an assignment that is
optimal for the sizes it happens to have, and shortest augmenting paths between clusters then mend the sizes. The result
is optimal (successive shortest paths; Ahuja, Magnanti and Orlin, Network Flows, 1993, section 9.7).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

# Shapes: K clusters, P points. Node K of the flow network is the sink, which takes lower..upper units of each cluster.

_SWEEPS = 20
_CLOSE = 0.002  # share of the points: with less excess than this, paths are faster than another sweep
_TIE = 1e-12  # of the greatest cost: less is rounding


def assign(
    cost_KP: np.ndarray, lower_K: np.ndarray, upper_K: np.ndarray, prices_K: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Assign points to clusters at least total cost: sum_p cost[label_p, p] with lower <= size <= upper. Exact.

    Args:
        cost_KP: of each point in each cluster.
        lower_K: least size of each cluster.
        upper_K: greatest size; sum(lower) <= P <= sum(upper).
        prices_K: what a similar problem gave, to start from.

    Returns:
        Cluster of each point (P,), and prices (K,) from which a similar problem can start.

    Raises:
        ValueError: the points do not fit the sizes.
    """
    cost = cost_KP.astype(np.float64)
    clusters, points = cost.shape
    if not (lower_K.sum() <= points <= upper_K.sum() and (lower_K <= upper_K).all()):
        raise ValueError(f"{points} points do not fit clusters of sizes {lower_K.tolist()} to {upper_K.tolist()}")
    if clusters == 1:
        return np.zeros(points, dtype=np.int64), np.zeros(1)
    eps = _TIE * max(1e-300, float(np.abs(cost).max()))
    prices = np.zeros(clusters) if prices_K is None else prices_K.copy()
    _raise_prices(cost, lower_K, upper_K, prices)
    priced = cost + prices[:, None]
    labels = priced.argmin(0)
    _settle_ties(priced, labels, lower_K, upper_K, eps)
    sizes = np.bincount(labels, minlength=clusters)
    # A price keeps points away from a cluster that too many prefer, which is then as large as it may be; a negative one
    # draws them to a cluster that is then as small as it may be.
    flow = np.clip(sizes, lower_K, upper_K)
    flow[prices > 0] = upper_K[prices > 0]
    flow[prices < 0] = lower_K[prices < 0]
    _mend(cost, labels, flow, lower_K, upper_K, eps)
    return labels, prices


def _raise_prices(cost: np.ndarray, lower: np.ndarray, upper: np.ndarray, prices: np.ndarray) -> None:
    """Coordinate ascent on the dual, in place: each price in turn is the one at which its cluster has a legal size."""
    points = cost.shape[1]
    priced = cost + prices[:, None]
    # The dual has kinks, at which ascent along one price at a time may stall: `_mend` does what is left, exactly.
    for _ in range(_SWEEPS):
        for k in range(len(prices)):
            # Out of the way, so that the minimum is that of the other clusters.
            priced[k] = np.inf
            margin = priced.min(0) - cost[k]  # a point prefers k while the price of k is below its margin
            wanted = int((margin > 0).sum())
            if wanted > upper[k]:
                prices[k] = _between(margin, upper[k])
            elif wanted < lower[k]:
                prices[k] = _between(margin, lower[k]) if lower[k] < points else margin.min() - 1
            else:
                prices[k] = 0.0
            priced[k] = cost[k] + prices[k]
        sizes = np.bincount(priced.argmin(0), minlength=len(prices))
        if np.maximum(sizes - upper, lower - sizes).max() <= _CLOSE * points:
            return


def _between(margin: np.ndarray, count: int) -> float:
    """A price that exactly `count` margins exceed (ties aside)."""
    if count == 0:
        return float(margin.max()) + 1.0
    place = len(margin) - count
    ordered = np.partition(margin, (place - 1, place))
    return float((ordered[place - 1] + ordered[place]) / 2)


def _settle_ties(priced: np.ndarray, labels: np.ndarray, lower: np.ndarray, upper: np.ndarray, eps: float) -> None:
    """Move points that cost the same elsewhere from clusters that are too large to those with room, in place."""
    sizes = np.bincount(labels, minlength=len(priced))
    for a in np.flatnonzero(sizes > upper):
        for b in np.flatnonzero(sizes < upper):
            members = np.flatnonzero(labels == a)
            # Free moves, many at once: `_mend` would send these points one path each.
            ties = members[priced[b, members] - priced[a, members] <= eps]
            too_many = sizes[a] - upper[a]
            room = upper[b] - sizes[b]
            moved = ties[: max(0, min(too_many, room))]
            labels[moved] = b
            sizes[a] -= len(moved)
            sizes[b] += len(moved)


def _mend(
    cost: np.ndarray, labels: np.ndarray, flow: np.ndarray, lower: np.ndarray, upper: np.ndarray, eps: float
) -> None:
    """Send every unit of excess to a deficit along a cheapest path, in place."""
    sink = len(cost)
    sizes = np.bincount(labels, minlength=sink)
    excess = np.append(sizes - flow, flow.sum() - len(labels))
    price = np.full((sink + 1, sink + 1), np.inf)  # of moving one unit from row to column
    point = np.zeros((sink, sink), dtype=np.int64)  # and which point that moves
    for k in range(sink):
        _arcs(k, cost, labels, flow, lower, upper, price, point)
    while (excess > 0).any():
        path = _cheapest(price, excess > 0, excess < 0, eps)
        for a, b in pairwise(path):
            if b == sink:
                flow[a] += 1
            elif a == sink:
                flow[b] -= 1
            else:
                labels[point[a, b]] = b
        excess[path[0]] -= 1
        excess[path[-1]] += 1
        # Only what leaves the clusters on the path has changed.
        for k in path:
            if k != sink:
                _arcs(k, cost, labels, flow, lower, upper, price, point)


def _arcs(
    k: int,
    cost: np.ndarray,
    labels: np.ndarray,
    flow: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    price: np.ndarray,
    point: np.ndarray,
) -> None:
    """Arcs that leave cluster k, and the two between it and the sink."""
    sink = len(cost)
    members = np.flatnonzero(labels == k)
    if len(members):
        change = cost[:, members] - cost[k, members]
        best = change.argmin(1)
        point[k] = members[best]
        price[k, :sink] = change[np.arange(sink), best]
    else:
        price[k, :sink] = np.inf
    price[k, k] = np.inf
    price[k, sink] = 0.0 if flow[k] < upper[k] else np.inf
    price[sink, k] = 0.0 if flow[k] > lower[k] else np.inf


def _cheapest(price: np.ndarray, source: np.ndarray, target: np.ndarray, eps: float) -> list[int]:
    """Nodes of a cheapest path from any source to any target (Bellman-Ford)."""
    distance = np.where(source, 0.0, np.inf)
    before = np.full(len(price), -1)
    # Bellman-Ford, since a move may lower the cost: arcs can be negative.
    for _ in range(len(price)):
        through = distance[:, None] + price
        best = through.argmin(0)
        found = through.min(0)
        # By more than rounding, so that no cycle of cost 0 gets into `before`, along which the path would have no end.
        shorter = found < distance - eps
        if not shorter.any():
            break
        distance[shorter] = found[shorter]
        before[shorter] = best[shorter]
    path = [int(np.where(target, distance, np.inf).argmin())]
    while before[path[-1]] >= 0:
        path.append(int(before[path[-1]]))
    return path[::-1]
