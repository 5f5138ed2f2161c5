"""How does a number become a metric? Names, help and labels as Prometheus wants them; pure.

Conventions: https://prometheus.io/docs/practices/naming/. A label's value is always a word of ours, but for the ids of
images, of which there are at most `NAMED_IMAGES` (`observe.image`).
"""

from collections.abc import Iterable, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from stui_sessiond.counting import Histogram

Labelled = Iterable[tuple[tuple[str, ...], float]]
"""The values of labels, and the number for them."""


def counter(name: str, help_text: str, value: float) -> Metric:
    """What only grows; its name ends in `_total`."""
    return CounterMetricFamily(f"stui_{name}", help_text, value=value)


def counters(name: str, help_text: str, labels: tuple[str, ...], values: Labelled) -> Metric:
    """The same with labels."""
    family = CounterMetricFamily(f"stui_{name}", help_text, labels=labels)
    for label_values, value in values:
        family.add_metric(label_values, value)
    return family


def gauge(name: str, help_text: str, value: float) -> Metric:
    """What grows and shrinks."""
    return GaugeMetricFamily(f"stui_{name}", help_text, value=value)


def gauges(name: str, help_text: str, labels: tuple[str, ...], values: Labelled) -> Metric:
    """The same with labels."""
    family = GaugeMetricFamily(f"stui_{name}", help_text, labels=labels)
    for label_values, value in values:
        family.add_metric(label_values, value)
    return family


def state(name: str, help_text: str, label: str, words: Iterable[str], present: str) -> Metric:
    """One of several words: 1 for the one that holds, 0 for the others."""
    return gauges(name, help_text, (label,), (((word,), float(word == present)) for word in words))


def histogram(name: str, help_text: str, value: Histogram) -> Metric:
    """How often a value was at most so large."""
    return histograms(name, help_text, (), {(): value})


def histograms(
    name: str, help_text: str, labels: tuple[str, ...], values: Mapping[tuple[str, ...], Histogram]
) -> Metric:
    """The same with labels."""
    family = HistogramMetricFamily(f"stui_{name}", help_text, labels=labels)
    for label_values, value in values.items():
        buckets = [(_bound(bound), count) for bound, count in value.cumulative()]
        family.add_metric(label_values, buckets, value.total)
    return family


def _bound(value: float) -> str:
    """Write the upper bound of a bucket as Prometheus does."""
    return "+Inf" if value == float("inf") else str(float(value))
