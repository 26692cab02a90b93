"""The model street of one edge: registry, rollout and shadow, made from the settings."""

from collections.abc import Mapping

from qc.domain.clock import SystemClock
from qc.domain.errors import StoreError
from qc.domain.frame import Shot
from qc.domain.inspection import Inspection
from qc.domain.ports import Clock, ImageArchive, Publisher, RecordStore
from qc.domain.recipe import Recipe
from qc.domain.record import Entry, InspectionRecord
from qc.domain.truth import SampleTicket
from qc.inspection.session import Runtime
from qc.line import Line
from qc.line.release_steps import promoted
from qc.publish.events import label_request_event
from qc.publish.topics import EdgeName
from qc.record.database import Database
from qc.record.shadow_store import ShadowStore
from qc.release.registry import Registry
from qc.release.shadow import ShadowLink
from qc.release.signing import load_keys
from qc.settings.line import ModelsSettings


def build_runtime(models: ModelsSettings) -> Runtime:
    return Runtime(providers=tuple(models.providers), intra_op_threads=models.intra_op_threads)


def build_registry(models: ModelsSettings, clock: Clock | None = None) -> Registry:
    """clock: what transitions are dated by. Raises BundleError for a public key that cannot be read."""
    keys = load_keys(models.public_keys) if models.require_signatures else None
    return Registry(models.directory, keys=keys, runtime=build_runtime(models), now=(clock or SystemClock()).now)


def promoted_recipes(recipes: Mapping[str, Recipe], registry: Registry) -> dict[str, Recipe]:
    """The recipe files with the registry's promotions on top. Raises ReleaseError for a damaged registry."""
    index = registry.index()
    return {variant: promoted(recipe, index) for variant, recipe in recipes.items()}


class ShadowDesk:
    """What a model in the shadow needs of the edge; ``line`` is put in when it exists."""

    def __init__(
        self, database: Database, *, name: EdgeName, store: RecordStore, archive: ImageArchive, publisher: Publisher
    ) -> None:
        self.line: Line | None = None
        self._name, self._store, self._archive, self._publisher = name, store, archive, publisher
        self.link = ShadowLink(ShadowStore(database), self._busy, self._keep, self._ask)

    def _busy(self) -> bool:
        return self.line is not None and self.line.waiting > 0

    def _keep(self, record: InspectionRecord, shot: Shot, inspection: Inspection) -> bool:
        """A label needs its picture: it is kept even where the image policy would not."""
        if record.image_ref is not None:
            return True
        return shot.frame is not None and self._archive.submit(record, shot.frame.pixels, inspection.defect_map)

    def _ask(self, ticket: SampleTicket, record: InspectionRecord) -> None:
        image_ref = record.image_ref or f"/api/v1/images/{record.event_id}"
        request = label_request_event(ticket, self._name, image_ref=image_ref, camera_id=record.camera_id, variant=record.variant)
        try:
            self._store.append([Entry(request)])
        except StoreError:  # the ticket is stored and stands in the queue; only its event is missing
            return
        self._publisher.wake()
