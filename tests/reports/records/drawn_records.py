"""Records that hypothesis draws: every field, and whatever JSON can say in the free ones."""

from hypothesis import strategies as st

from sparsebench.reports.records.record import (
    RENAMED_BUDGET_KEYS,
    STATUSES,
    CellInfo,
    Costs,
    DataInfo,
    Link,
    Metric,
    Record,
    TeacherCosts,
    TrainingCosts,
)

words = st.text(max_size=12)
finite = st.floats(-1e99, 1e99)
whole = st.integers(-(2**63), 2**63 - 1)
json_values = st.recursive(
    st.none() | st.booleans() | whole | finite | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(words, json_values, max_size=3)
# Hypothesis draws names that it finds in our code, too. A budget with an old name comes back with the new one, and an
# environment whose libraries are no object is refused.
budgets = objects.filter(lambda budget: not budget.keys() & RENAMED_BUDGET_KEYS)
environments = objects.filter(lambda environment: isinstance(environment.get("libraries", {}), dict))
metrics = st.builds(
    Metric,
    value=finite,
    stderr=st.none() | st.floats(0, 1e99),
    n=st.none() | st.integers(0, 10**9),
    higher_is_better=st.booleans(),
    chance=st.none() | finite,
    unit=words,
)
counts = st.none() | st.integers(0, 10**13)
costs = st.builds(
    Costs,
    params_total=counts,
    params_trainable=counts,
    params_active=counts,
    params_nonzero=counts,
    flops=st.none() | finite,
    bytes=counts,
    bytes_trained=counts,
    peak_rss=counts,
    latency_ms=st.none() | finite,
    unit=words,
)
cells = st.builds(
    CellInfo,
    **dict.fromkeys(
        ["suite", "suite_version", "task", "task_version", "group", "method", "label", "backbone", "dtype"], words
    ),
    config=objects,
    budget=budgets,
    seed=whole,
    then=st.lists(st.builds(Link, method=words, config=objects), max_size=2),
    further_backbones=st.lists(words, max_size=2),
)
teachers = st.builds(
    TeacherCosts, params_total=counts, params=counts, flops=st.none() | finite, seconds=st.none() | finite
)
training = st.builds(
    TrainingCosts,
    params=counts,
    flops=st.none() | finite,
    seconds=st.none() | finite,
    peak_memory=counts,
    steps=counts,
    tokens=counts,
    teacher=st.none() | teachers,
)
sources = st.builds(DataInfo, source=words, version=words, sha256=st.none() | words, licence=words)


@st.composite
def records(draw: st.DrawFn) -> Record:
    status = draw(st.sampled_from(STATUSES))
    scores = draw(st.dictionaries(words, metrics, min_size=1 if status == "ok" else 0, max_size=3))
    return Record(
        id=draw(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)),
        key=draw(words),
        code=draw(words),
        cell=draw(cells),
        status=status,
        reason=None if status == "ok" else draw(st.text(min_size=1, max_size=9)),
        traceback=draw(st.none() | words),
        metrics=scores,
        main_metric=draw(st.sampled_from(sorted(scores))) if scores else None,
        costs=draw(st.none() | costs),
        training=draw(st.none() | training),
        times=draw(st.dictionaries(words, finite, max_size=2)),
        curves=draw(st.dictionaries(words, st.lists(st.tuples(finite, finite), max_size=3), max_size=2)),
        details=draw(objects),
        data=draw(st.lists(sources, max_size=2)),
        environment=draw(environments),
        seeds=draw(st.dictionaries(words, whole, max_size=2)),
        warnings=draw(st.lists(words, max_size=2)),
        started=draw(words),
        finished=draw(words),
        examples=draw(st.none() | words),
    )
