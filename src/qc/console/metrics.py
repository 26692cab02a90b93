"""Prometheus metrics of one edge, read from the running objects at scrape time; units and labels in the names."""

from collections import Counter
from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from qc.decide.halt import LEVELS
from qc.domain.frame import CameraState, CameraStatus, Shot
from qc.domain.inspection import Inspection
from qc.domain.publishing import PublisherStatus
from qc.domain.record import InspectionRecord
from qc.line import LineStatus
from qc.wiring import Edge

_BUCKETS_S = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class EdgeMetrics(Collector):
    """A collector and an observer: histograms are fed per part (a few microseconds), everything else is read when scraped."""

    def __init__(self) -> None:
        self._edge: Edge | None = None
        self.registry = CollectorRegistry(auto_describe=False)
        self._inspection_s = Histogram(
            "qc_inspection_seconds", "Trigger to verdict", ["camera"], buckets=_BUCKETS_S, registry=self.registry
        )
        self._inference_s = Histogram(
            "qc_inference_seconds", "The model alone", ["model"], buckets=_BUCKETS_S, registry=self.registry
        )

    def watch(self, edge: Edge) -> None:
        """The edge to read from; until then only the histograms are served."""
        self._edge = edge
        self.registry.register(self)

    def inspected(self, record: InspectionRecord, shot: Shot, inspection: Inspection | None) -> None:
        self._inspection_s.labels(record.camera_id).observe(record.timings.total_ms / 1e3)
        if inspection is not None:
            self._inference_s.labels(record.model_id).observe(record.timings.inference_ms / 1e3)

    def collect(self) -> Iterator[Metric]:
        edge = self._edge
        if edge is None:
            return
        yield from self._of_line(edge.line.status())
        yield from self._of_publisher(edge.publisher.status())
        yield from self._of_cameras([camera.status() for camera in edge.cameras])
        alarms = GaugeMetricFamily("qc_open_alarms", "Alarms that are not cleared", labels=["quantity", "cause"])
        for (quantity, cause), count in Counter((alarm.quantity, alarm.cause) for alarm in edge.alarms.open_alarms()).items():
            alarms.add_metric([quantity, cause.value], count)
        yield alarms
        archive = edge.archive.status()
        yield CounterMetricFamily("qc_images_written", "Pictures archived", value=archive.written)
        yield CounterMetricFamily(
            "qc_images_dropped", "Pictures that could not be kept", value=archive.dropped_queue + archive.dropped_disk
        )
        yield GaugeMetricFamily("qc_images_bytes", "Bytes of archived pictures", value=archive.total_bytes)

    def _of_line(self, status: LineStatus) -> Iterator[Metric]:
        parts = CounterMetricFamily("qc_parts", "Parts by verdict and reason", labels=["verdict", "reason"])
        for key, count in status.by_reason.items():
            parts.add_metric(key.split("/"), count)
        yield parts
        yield CounterMetricFamily("qc_halts", "Times the halt policy asked for a halt", value=status.halts)
        yield GaugeMetricFamily("qc_halt_level", "0 none .. 4 halt", value=LEVELS.index(status.level))
        yield GaugeMetricFamily("qc_paused", "1 during a planned stop", value=float(status.paused))
        yield GaugeMetricFamily("qc_queued_parts", "Parts waiting for the model", value=status.queued)
        yield GaugeMetricFamily("qc_store_writable", "0 while records cannot be written", value=float(status.storing))
        recipe = GaugeMetricFamily("qc_active_recipe", "1 for the active recipe", labels=["variant", "version", "model"])
        recipe.add_metric([status.variant, status.recipe_version, status.model_id], 1)
        yield recipe

    def _of_publisher(self, status: PublisherStatus) -> Iterator[Metric]:
        yield GaugeMetricFamily("qc_mqtt_connected", "1 while connected to the broker", value=float(status.connected))
        yield CounterMetricFamily("qc_mqtt_acknowledged_events", "Events that the broker acknowledged", value=status.acked)
        yield CounterMetricFamily("qc_mqtt_commands", "Commands received", value=status.commands)
        yield CounterMetricFamily("qc_mqtt_refused_commands", "Commands answered with an error", value=status.commands_refused)
        if status.depth is not None:
            yield GaugeMetricFamily("qc_outbox_events", "Events not delivered yet", value=status.depth.rows)
            yield GaugeMetricFamily("qc_outbox_bytes", "Bytes not delivered yet", value=status.depth.bytes)
            yield GaugeMetricFamily(
                "qc_outbox_oldest_seconds", "Age of the oldest undelivered event", value=status.depth.oldest_age_s
            )
            yield GaugeMetricFamily("qc_dead_letters", "Events that the broker refused", value=status.depth.dead)
            yield CounterMetricFamily(
                "qc_outbox_dropped_events", "Events given up because the outbox was full", value=status.depth.dropped
            )

    def _of_cameras(self, cameras: Sequence[CameraStatus]) -> Iterator[Metric]:
        connected = GaugeMetricFamily("qc_camera_connected", "1 while the camera delivers", labels=["camera"])
        counts = {
            "frames": CounterMetricFamily("qc_camera_frames", "Frames delivered", labels=["camera"]),
            "dropped": CounterMetricFamily("qc_camera_dropped_frames", "Frames discarded unseen", labels=["camera"]),
            "bad": CounterMetricFamily("qc_camera_bad_images", "Items that could not be decoded", labels=["camera"]),
            "reconnects": CounterMetricFamily("qc_camera_reconnects", "Connections after the first", labels=["camera"]),
        }
        faults = CounterMetricFamily("qc_camera_faults", "Shots that carried a fault", labels=["camera"])
        for camera in cameras:
            connected.add_metric([camera.camera_id], float(camera.source.state is CameraState.CONNECTED))
            faults.add_metric([camera.camera_id], camera.faults)
            for field, family in counts.items():
                family.add_metric([camera.camera_id], getattr(camera.source, field))
        yield from (connected, faults, *counts.values())
